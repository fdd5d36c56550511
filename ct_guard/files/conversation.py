"""The column `messages`: turns as chat APIs and LangChain write them, and their calls of tools.

A conversation of text alone is read turn by turn. One in which tools are called is read as human
and assistant turns that alternate, which is what every chat template can render, and as
`ct_guard_langchain` reads it: instructions stand together in front; a call is written
`name({"arg": value, …}) -> result`, with sorted arguments, and all that was done for a human turn
stands as a passage in front of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ct_guard.records import Message

__all__ = ["ROLES", "Turn", "read_calls", "spoken_turns"]

Role = Literal["system", "user", "assistant", "tool"]

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "tool": "tool",
    "function": "tool",
}
"""What messages call their roles."""


@dataclass(frozen=True)
class Turn:
    """One message of a row."""

    role: Role
    text: str
    calls: tuple[tuple[str, str], ...] = ()
    """Of tools: each call's id (or "") and text."""
    answers: tuple[tuple[str, str], ...] = ()
    """Results of tools that stand in a turn of another role: the call's id, and the text."""
    call: str = ""
    """Of a turn of the role `tool`: the id of the call that it answers."""
    name: str = ""
    """Of a turn of the role `tool`: the tool, if it says so."""


def read_calls(item: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The calls of tools in a message: `tool_calls` as OpenAI or LangChain writes them, the older
    `function_call`, and parts of the type `tool_use`. Raises ValueError for one that is none."""
    listed = item.get("tool_calls") or ()
    old = item.get("function_call")
    parts = item.get("content")
    used = [
        part
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, dict) and part.get("type") in ("tool_use", "tool_call")
    ]
    if not isinstance(listed, (list, tuple)):
        raise ValueError("must be a list of calls")
    return tuple(map(_call, [*listed, *([old] if old else []), *(() if listed else used)]))


def _call(call: Any) -> tuple[str, str]:
    inner = call.get("function", call) if isinstance(call, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or not isinstance(name, str):
        raise ValueError("must hold calls with a 'name' and arguments")
    given = next((inner[key] for key in ("arguments", "args", "input") if key in inner), None)
    return str(call.get("id") or ""), f"{name}({_arguments(given)})"


def _arguments(given: Any) -> str:
    """In one canonical form; text that is no JSON stays as it is."""
    if isinstance(given, str):
        try:
            given = json.loads(given or "{}")
        except (ValueError, RecursionError):
            return str(given)
    return json.dumps(given or {}, ensure_ascii=False, sort_keys=True)


def spoken_turns(turns: list[Turn], question: str | None = None) -> tuple[Message, ...]:
    """The conversation as it is read. Where tools are called, the last turn is the user's: a
    `question` that comes after the turns is asked in it, unless it is what was asked already."""
    if not any(turn.calls or turn.answers or turn.role == "tool" for turn in turns):
        return tuple(Message(role=turn.role, content=turn.text) for turn in turns)
    asked = next((turn.text for turn in reversed(turns) if turn.role == "user"), None)
    if question is not None and turns[-1].role != "user" and question != asked:
        turns = [*turns, Turn("user", question)]
    system: list[str] = []
    exchanges: list[_Exchange] = []
    for turn in turns:
        if turn.role == "system":
            system.append(turn.text)
            continue
        if not exchanges or (turn.role == "user" and not turn.answers and exchanges[-1].replies):
            exchanges.append(_Exchange())
        exchanges[-1].add(turn)
    if not exchanges:
        return ()
    exchanges[-1].reopen()
    first = [Message(role="system", content="\n\n".join(system))] if system else []
    earlier = [message for exchange in exchanges[:-1] for message in exchange.messages()]
    return (*first, *earlier, Message(role="user", content=exchanges[-1].question()))


@dataclass
class _Exchange:
    """A human turn, the work that it led to, and the reply."""

    asked: list[str] = field(default_factory=list)
    work: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    """Where in `work` a call stands, by its id."""

    def add(self, turn: Turn) -> None:
        if turn.role == "tool":
            self._result(turn.call, turn.name, turn.text)
            return
        for call, text in turn.answers:
            self._result(call, "", text)
        if turn.role == "user":
            self.asked += filter(None, [turn.text])
        elif turn.calls:
            self.reopen()
            self.work += filter(None, [turn.text])
            for call, text in turn.calls:
                self.calls[call] = len(self.work)
                self.work.append(text)
        else:
            self.replies.append(turn.text)

    def reopen(self) -> None:
        """What seemed to be the reply was said on the way."""
        self.work += self.replies
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
        at = self.calls.pop(call, None)
        if at is None:
            self.work.append(f"{name or 'tool'} -> {text}")
        else:
            self.work[at] += f" -> {text}"
