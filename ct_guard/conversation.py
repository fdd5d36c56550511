"""Conversations in which tools are called, read as human and assistant turns that alternate: what
every chat template can render.

Instructions stand together in front. A call is written `name({"arg": value, …}) -> result`, with
sorted arguments, and all that was done for a human turn stands as a passage in front of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from .errors import UsageError
from .records import Message, Role

__all__ = ["ChatTurn", "Exchange", "alternating", "is_cut_off"]

_CUT_OFF = frozenset({
    "length", "max_tokens", "max_output_tokens", "max_completion_tokens", "max_new_tokens",
    "model_length", "model_context_window_exceeded", "token_limit",
})  # fmt: skip


@dataclass(frozen=True)
class ChatTurn:
    """One message."""

    role: Role
    text: str
    calls: tuple[tuple[str, str], ...] = ()
    """Of tools: each call's id (or "") and text."""
    answers: tuple[tuple[str, str, str], ...] = ()
    """Results of tools that stand among the parts of a turn: the call's id, the tool (each may be
    ""), and the text."""
    call: str = ""
    """Of a turn of the role `tool`: the id of the call that it answers."""
    name: str = ""
    """Of a turn of the role `tool`: the tool, if it says so."""
    unread: UsageError | None = None
    """What in it is not text."""


@dataclass
class Exchange:
    """A human turn, the work that it led to, and the reply."""

    asked: list[str] = field(default_factory=list)
    work: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    calls: list[tuple[str, str, int]] = field(default_factory=list)
    """Calls without a result: id, tool, and where in `work` each stands."""
    early: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Results whose calls have not come yet, by id: where in `work` each stands, and its text."""
    unread: UsageError | None = None
    """What in it is not text."""

    def add(self, turn: ChatTurn) -> None:
        self.unread = turn.unread or self.unread
        for call, name, text in turn.answers:
            self._result(call, name, text)
        if turn.role == "tool":
            if turn.text or not turn.answers:
                self._result(turn.call, turn.name, turn.text)
            return
        if turn.role == "user":
            self.asked.append(turn.text)
        elif turn.calls:
            self.reopen()
            self.work += filter(None, [turn.text])
            for call, text in turn.calls:
                self._call(call, text)
        else:
            self.replies.append(turn.text)

    def reopen(self) -> None:
        """What seemed to be the reply was said on the way."""
        self.work += filter(None, self.replies)
        self.replies = []

    def question(self) -> str:
        return "\n\n".join(filter(None, ["\n".join(self.work), *self.asked]))

    def messages(self) -> list[Message]:
        messages = [
            Message(role="user", content=self.question()),
            Message(role="assistant", content="\n\n".join(self.replies)),
        ]
        return [message for message in messages if message.content]

    def _result(self, call: str, name: str, text: str) -> None:
        self.reopen()
        at = self._answered(call, name)
        if at is not None:
            self.work[at] += f" -> {text}"
            return
        if call:
            self.early[call] = (len(self.work), text)
        self.work.append(f"{name or 'tool'} -> {text}")

    def _call(self, call: str, text: str) -> None:
        if call in self.early:
            at, result = self.early.pop(call)
            self.work[at] = f"{text} -> {result}"
            return
        self.calls.append((call, text.partition("(")[0], len(self.work)))
        self.work.append(text)

    def _answered(self, call: str, name: str) -> int | None:
        """Where the call stands that a result is of: by its id; where it has none, the first to
        that tool, or the first of all."""
        for at, (known, tool, place) in enumerate(self.calls):
            if known == call if call else name in ("", tool):
                del self.calls[at]
                return place
        return None


def alternating(turns: Iterable[ChatTurn]) -> tuple[list[str], list[Exchange]]:
    """The texts of all system turns, and the exchanges; the last one is to be reopened
    before it is read as what is asked."""
    system: list[str] = []
    exchanges: list[Exchange] = []
    for turn in turns:
        if turn.role == "system":
            system.append(turn.text)
            continue
        if not exchanges or (turn.role == "user" and not turn.answers and exchanges[-1].replies):
            exchanges.append(Exchange())
        exchanges[-1].add(turn)
    return system, exchanges


def is_cut_off(reason: object) -> bool:
    """Whether the reason that a provider gives for the end of an answer (`finish_reason`,
    `stop_reason`…) says that there were no tokens left."""
    # programs write members of an enumeration as FinishReason.MAX_TOKENS
    return isinstance(reason, str) and reason.strip().rpartition(".")[2].lower() in _CUT_OFF
