"""What is read of a row: what was said, without what hides in it; and what is decided without a
model."""

from collections.abc import Sequence

from ct_guard.records import Message, QuestionAnswer, Status

from .filler import without_filler
from .forgery import forgery_in
from .hygiene import clean, is_refusal
from .thoughts import without_thoughts

__all__ = [
    "MAX_CHARACTERS",
    "forgery_of",
    "read_answer",
    "read_turns",
    "screen",
    "was_sanitized",
]

MAX_CHARACTERS = 1_000_000
"""Of all texts of one row together; above it the row is `too_long`, before tokenising."""


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
        read.append((Message(role=turn.role, content=text), changed))
    return tuple(turn for turn, _ in read), any(changed for _, changed in read)


def forgery_of(qa: QuestionAnswer) -> str | None:
    """One line on the first text of a row that speaks as the uncertainty query does; None where
    none does."""
    turns = read_turns(qa.conversation())[0]
    texts = [("the question or its context", turns[-1].content)]
    texts += [(f"an earlier {turn.role} turn", turn.content) for turn in turns[:-1]]
    for place, text in [("the answer", read_answer(qa.answer)[0]), *texts]:
        if found := forgery_in(text):
            return f"{place} speaks as the uncertainty query does ({found!r}), and is not judged"
    return None


def screen(qa: QuestionAnswer, *, refusals: bool = True) -> Status:
    """The status that needs no model: `too_long`, `empty`, `forged`, `refusal`, else `ok`."""
    size = len(qa.question) + len(qa.answer) + len(qa.context or "")
    size += sum(len(message.content) for message in qa.messages)
    if size > MAX_CHARACTERS:
        return "too_long"
    answer, _ = read_answer(qa.answer)
    if not answer.strip():
        return "empty"
    if forgery_of(qa):
        return "forged"
    if refusals and is_refusal(answer):
        return "refusal"
    return "ok"


def was_sanitized(qa: QuestionAnswer) -> bool:
    """Whether what is read is not, letter for letter, what stands in the row."""
    return read_answer(qa.answer)[1] or read_turns(qa.conversation())[1]
