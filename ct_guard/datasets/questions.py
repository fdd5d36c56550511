"""A question with gold answers, as it stands in a row."""

from dataclasses import dataclass
from string import ascii_lowercase

from ct_guard.files import Rejected, Row, question_answer, texts_of
from ct_guard.records import Message

__all__ = ["ANSWER", "ANSWERS", "CHOICES", "GOLD", "Question", "question_of"]

GOLD = "gold"
"""The column that holds the gold answers, unless another is named."""

ANSWER, ANSWERS, CHOICES = "answer", "answers", "choices"


@dataclass(frozen=True)
class Question:
    """What is asked, and what is right."""

    text: str
    """What was asked, with its choices: what a judge and an estimator read as the question."""
    turns: tuple[Message, ...]
    """The conversation to answer; the last turn is what is asked."""
    gold: tuple[str, ...]
    """Any one of them is right; at least one."""
    choices: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    """Answers that are in the row already; an empty one is an answer, too."""
    cut_off: bool = False
    """They are beginnings, as the row's `finish_reason` says."""


def question_of(row: Row, *, gold: str = GOLD) -> Question | Rejected:
    """The question of a row whose gold answers are in the column `gold`.

    Where the row has `choices`, they follow the question as lines `(a): …`, unless it holds the
    text of each already. Answers are those of the column `answers`, else the one of `answer`.
    """
    golds = texts_of(row, gold)
    if isinstance(golds, Rejected):
        return golds
    choices = () if gold == CHOICES else texts_of(row, CHOICES)
    if isinstance(choices, Rejected):
        return choices
    given = _given(row, gold)
    if isinstance(given, Rejected):
        return given
    fields = {**row.fields, ANSWER: "", "id": None, "model": None}
    asked = question_answer(row._replace(fields=fields))
    if isinstance(asked, Rejected):
        return asked
    if not golds:
        return Rejected("invalid", f"{row.where}: field '{gold}' is missing: no gold answer")
    if len(choices) > len(ascii_lowercase):
        return Rejected("invalid", f"{row.where}: field '{CHOICES}' has more than 26 choices")
    *earlier, last = asked.conversation()
    listed = _listed(last.content, choices)
    said_last = asked.messages[-1].content if asked.question == "" else asked.question
    return Question(
        text=_listed(said_last, choices),
        turns=(*earlier, Message(role="user", content=listed)),
        gold=golds,
        choices=choices,
        given=given,
        cut_off=asked.cut_off,
    )


def _given(row: Row, gold: str) -> tuple[str, ...] | Rejected:
    several = () if gold == ANSWERS else texts_of(row, ANSWERS)
    if isinstance(several, Rejected) or several:
        return several
    if gold == ANSWER or ANSWER not in row.fields:
        return ()
    asked = question_answer(row._replace(fields={"question": "?", ANSWER: row.fields[ANSWER]}))
    return asked if isinstance(asked, Rejected) else (asked.answer,)


def _listed(question: str, choices: tuple[str, ...]) -> str:
    if all(choice in question for choice in choices):
        return question
    lines = [
        f"  ({letter}): {choice}" for letter, choice in zip(ascii_lowercase, choices, strict=False)
    ]
    return "\n".join([question, "", "Choices:", *lines])
