"""Questions about a state, as decision models are asked on the wire, and the labels that they may
be answered with."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter, ValidationError, field_validator

from ct_guard.errors import UsageError
from ct_guard.records import Record

__all__ = [
    "MOST_LABELS",
    "NO",
    "YES",
    "Choice",
    "Content",
    "Noul",
    "NoulCriteria",
    "Option",
    "Question",
    "Score",
    "as_text",
    "labels_of",
    "options_of",
    "parse_questions",
    "question_key",
]

Content = str | dict[str, JsonValue] | list[JsonValue]
"""Text is read as it is, everything else as JSON."""

YES, NO = "yes", "no"
"""Labels of a `Noul`."""

MOST_LABELS = 256
"""Of one question: each is an answer that is read."""


class NoulCriteria(Record):
    """What yes and no mean, where the instructions leave room."""

    true: JsonValue = None
    false: JsonValue = None


class Noul(Record):
    """A yes/no judgement over the state; the answer is P(yes)."""

    type: Literal["noul"] = "noul"
    instructions: Content
    criteria: NoulCriteria | None = None


class Choice(Record):
    """One label of several that have no order."""

    type: Literal["choice"] = "choice"
    instructions: Content
    criteria: Annotated[dict[str, JsonValue], Field(min_length=1, max_length=MOST_LABELS)]
    """Labels, each with its description or None."""

    @field_validator("criteria")
    @classmethod
    def _labels_differ(cls, criteria: dict[str, JsonValue]) -> dict[str, JsonValue]:
        shown = {" ".join(label.split()) for label in criteria}
        if "" in shown or len(shown) < len(criteria):
            raise ValueError("every label needs a text of its own")
        return criteria


class Score(Record):
    """A level of an ordered rubric, numbered from 0."""

    type: Literal["score"] = "score"
    instructions: Content
    criteria: Annotated[list[JsonValue], Field(min_length=2, max_length=MOST_LABELS)]
    """Descriptions of the levels."""


@dataclass(frozen=True)
class Option:
    """One of the answers to a question."""

    label: str
    answer: str
    """What is judged as an answer."""
    description: str
    """Empty where there is none."""


Question = Annotated[Noul | Choice | Score, Field(discriminator="type")]

_QUESTIONS: TypeAdapter[dict[str, Noul | Choice | Score]] = TypeAdapter(
    Annotated[dict[str, Question], Field(min_length=1)]
)


def parse_questions(value: object) -> dict[str, Noul | Choice | Score]:
    """Questions by their ids, from JSON values. Raises UsageError, in one line that names id and
    field, for what is none, and for a question of type `box`: no image is read here."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            if isinstance(one, Mapping) and one.get("type") == "box":
                raise UsageError(
                    f"question {name!r} asks for a box in an image: estimators read text, and"
                    " answer questions of the types noul, choice and score"
                )
    try:
        return _QUESTIONS.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "questions"
        said = " ".join(first["msg"].split())
        raise UsageError(f"{where!r} is no question: {said}") from error


def question_key(question: Noul | Choice | Score) -> str:
    """12 hex digits that identify a question as it is asked: what was fitted for one counts for no
    other wording, and for no other labels."""
    text = json.dumps(question.model_dump(mode="json"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def options_of(question: Noul | Choice | Score) -> tuple[Option, ...]:
    """All that it may be answered with, in order."""
    match question:
        case Noul():
            known = question.criteria or NoulCriteria()
            return (Option(YES, "Yes", as_text(known.true)), Option(NO, "No", as_text(known.false)))
        case Choice():
            return tuple(
                Option(label, label, as_text(said)) for label, said in question.criteria.items()
            )
        case Score():
            levels = enumerate(question.criteria)
            return tuple(Option(str(level), str(level), as_text(said)) for level, said in levels)


def labels_of(question: Noul | Choice | Score) -> tuple[str, ...]:
    """`yes` and `no`; a choice's labels; a rubric's levels, as the text of their numbers."""
    return tuple(option.label for option in options_of(question))


def as_text(value: JsonValue) -> str:
    """Text as it is, None as nothing, everything else as JSON in one line."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
