"""What is read of a row: what was said, without what hides in it; and what is decided without a
model."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ct_guard.records import Message, QuestionAnswer, Status

from .filler import without_filler
from .forgery import forgery_in
from .hygiene import clean, is_refusal
from .thoughts import without_thoughts

__all__ = [
    "MAX_CHARACTERS",
    "Screened",
    "forgery_of",
    "read_answer",
    "read_turns",
    "screen",
    "screened",
    "was_sanitized",
]

MAX_CHARACTERS = 1_000_000
"""Of all texts of one row together; above it the row is `too_long`, before tokenising."""
REPEATED = 10_000
"""Characters up to which what was found in a text is remembered."""


def read_answer(answer: str) -> tuple[str, bool]:
    """The text that is judged of an answer, and whether that is another: cleaned, and without
    thoughts and filler."""
    text, cleaned = clean(answer)
    text, thoughtful = without_thoughts(text)
    text, filled = without_filler(text)
    return text, cleaned or thoughtful or filled


def read_turns(turns: Sequence[Message]) -> tuple[tuple[Message, ...], bool]:
    """The turns of a conversation as they are read: cleaned, the model's own without thoughts; and
    whether that changes them."""
    read = []
    for turn in turns:
        text, changed = clean(turn.content)
        if turn.role == "assistant":
            text, thoughtful = without_thoughts(text)
            changed = changed or thoughtful
        same = text == turn.content
        read.append((turn if same else Message(role=turn.role, content=text), changed))
    return tuple(turn for turn, _ in read), any(changed for _, changed in read)


def forgery_of(qa: QuestionAnswer) -> str | None:
    """One line on the first text of a row that speaks as the uncertainty query does; None where
    none does."""
    return _forgery(read_answer(qa.answer)[0], read_turns(qa.conversation())[0])


class Screened(NamedTuple):
    """What is known of a row without a model."""

    status: Status
    """`too_long`, `empty`, `forged`, `refusal`, else `ok`."""
    sanitized: bool
    """Whether what is read is not, letter for letter, what stands in the row; False for one that is
    `too_long`, which is not read."""


def screened(qa: QuestionAnswer, *, refusals: bool = True) -> Screened:
    """Each text of the row is read once."""
    size = len(qa.question) + len(qa.answer) + len(qa.context or "")
    size += sum(len(message.content) for message in qa.messages)
    if size > MAX_CHARACTERS:
        return Screened("too_long", False)
    answer, answer_changed = read_answer(qa.answer)
    turns, turns_changed = read_turns(qa.conversation())
    status: Status = "ok"
    if not answer.strip():
        status = "empty"
    elif _forgery(answer, turns):
        status = "forged"
    elif refusals and is_refusal(answer):
        status = "refusal"
    return Screened(status, answer_changed or turns_changed)


def screen(qa: QuestionAnswer, *, refusals: bool = True) -> Status:
    """The status alone, see `Screened`."""
    return screened(qa, refusals=refusals).status


def was_sanitized(qa: QuestionAnswer) -> bool:
    """Whether what is read is not, letter for letter, what stands in the row."""
    return read_answer(qa.answer)[1] or read_turns(qa.conversation())[1]


def _forgery(answer: str, turns: Sequence[Message]) -> str | None:
    question = turns[-1].content
    texts = [("the answer", answer, question), ("the question or its context", question, "")]
    texts += [(f"an earlier {turn.role} turn", turn.content, "") for turn in turns[:-1]]
    for place, text, asked in texts:
        short = len(text) + len(asked) <= REPEATED
        found = _forged_before(text, asked) if short else forgery_in(text, asked=asked)
        if found:
            return f"{place} speaks as the uncertainty query does ({found!r}), and is not judged"
    return None


@lru_cache(maxsize=1024)
def _forged_before(text: str, asked: str) -> str | None:
    """As `forgery_in`: answers to one question come behind one another."""
    return forgery_in(text, asked=asked)
