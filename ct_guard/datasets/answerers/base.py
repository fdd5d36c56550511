"""What answers questions, and judges answers: a language model behind one narrow seam."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ct_guard.conversation import is_cut_off
from ct_guard.records import Message

__all__ = ["Answerer", "Reply", "Request", "Sampling", "reply_of"]


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn."""

    max_tokens: int
    temperature: float = 0.0
    """0 is greedy."""
    seed: int = 0
    first_line: bool = False
    """Only the first line is wanted: generation may end there."""


@dataclass(frozen=True)
class Request:
    """A conversation to answer; its last turn is the user's."""

    turns: tuple[Message, ...]
    sampling: Sampling


@dataclass(frozen=True)
class Reply:
    """What came back: a text, or why there is none."""

    text: str | None
    error: str | None = None
    stop: bool = False
    """Every other request would fail for the same reason: it is no use to go on."""
    cut_off: bool = False
    """The tokens did not suffice: the text is a beginning."""


def reply_of(
    text: str | None, *, finish: str | None, refusal: str | None, max_tokens: int
) -> Reply | None:
    """What a provider's message says: its text, or its refusal; None where it says nothing, and
    not why. `finish` is the reason that it gives for the end."""
    text = text or refusal
    if text and text.strip():
        return Reply(text, cut_off=is_cut_off(finish))
    if is_cut_off(finish):
        return Reply(
            None,
            f"finish_reason {finish}: {max_tokens} tokens were used up before an answer began: give"
            " more with `max_tokens`",
        )
    if finish == "tool_calls":
        return Reply(None, "finish_reason tool_calls: the model called a tool and gave no answer")
    if finish == "content_filter":
        return Reply(None, "finish_reason content_filter: the provider held the answer back")
    return None if text is None else Reply(text)


class Answerer(Protocol):
    """A language model that answers. It may also say its `concurrency`, requests that it has under
    way at the same time, or its `batch_size`, requests that it draws together."""

    @property
    def name(self) -> str:
        """Who answers, as the column `model` says it."""
        ...

    @property
    def settings(self) -> Mapping[str, str | float | int | bool | None]:
        """Whatever else changes its answers, for the manifest and the journal. No secrets."""
        ...

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in their order. What goes wrong with one is its reply's error; what
        would go wrong with all of them makes its reply say `stop`."""
        ...
