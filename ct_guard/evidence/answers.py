"""Answers as columns, which is how evidence reads them: many at once."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.datasets.graders.normalise import words
from ct_guard.errors import InputError

from .same_question import spelled_alike

__all__ = ["Answers", "Sample", "answers_of", "samples_of", "spelled"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A further answer to a row's question."""

    text: str
    model: str | None = None


@dataclass(frozen=True)
class Answers:
    """n answers. Row i of every field is the same answer."""

    question: NDArray[np.int64]
    """Number of the question, shape (n,): rows that share it answer one question."""
    asked: Sequence[str]
    """The question's text."""
    answer: Sequence[str]
    model: Sequence[str | None]
    samples: Sequence[tuple[Sample, ...]]
    columns: dict[str, Sequence[Any]] = field(default_factory=dict)
    """What the rows hold by column name, as it was read."""
    where: Sequence[str] = ()
    """File and row, as messages name them; may be left out."""
    readings: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """What a base model reads of each answer, by name, shapes (n,)."""

    @cached_property
    def words(self) -> Sequence[tuple[str, ...]]:
        """Each answer's, see `spelled`: read once for all kinds of evidence."""
        known = {text: spelled(text) for text in dict.fromkeys(self.answer)}
        return [known[text] for text in self.answer]

    def __len__(self) -> int:
        return len(self.answer)

    def place(self, at: int) -> str:
        """Row `at`, as a message names it."""
        return self.where[at] if self.where else f"row {at + 1}"


def spelled(text: str) -> tuple[str, ...]:
    """The words of a text as graders compare them, of which equal ones are one object: many answers
    stay in memory."""
    return tuple(map(sys.intern, words(text)))


def answers_of(
    asked: Sequence[str],
    answer: Sequence[str],
    *,
    keys: Sequence[str] | None = None,
    model: Sequence[str | None] | None = None,
    columns: dict[str, Sequence[Any]] | None = None,
    where: Sequence[str] = (),
    readings: Mapping[str, NDArray[np.float64]] | None = None,
) -> Answers:
    """Answers by what was asked: one question under two spellings (case, white space, Unicode form)
    is one question. `keys` tell questions apart by more than their text, as by earlier turns. The
    column `samples`, where there is one, holds further answers.

    Raises InputError for samples that are none, naming the row.
    """
    known = columns or {}
    numbers: dict[str, int] = {}
    numbered: dict[str, int] = {}
    question = np.empty(len(asked), np.int64)
    for at, text in enumerate(asked if keys is None else keys):
        number = numbered.get(text)
        if number is None:
            number = numbers.setdefault(spelled_alike(text), len(numbers))
            numbered[text] = number
        question[at] = number
    raw = known.get("samples")
    samples: list[tuple[Sample, ...]] = [()] * len(asked)
    for at, value in enumerate(raw or ()):
        place = where[at] if where else f"row {at + 1}"
        samples[at] = samples_of(value, place)
    return Answers(
        question=question,
        asked=asked,
        answer=answer,
        model=[None] * len(asked) if model is None else model,
        samples=samples,
        columns=known,
        where=where,
        readings=readings or {},
    )


def samples_of(value: Any, where: str) -> tuple[Sample, ...]:
    """The further answers in a column `samples`: a list of texts, or of objects with `answer` and,
    where it is known, `model`. Absent, null and "" are none.

    Raises InputError, naming `where`, for anything else.
    """
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        value = _list_in(value, where)
    if not isinstance(value, list):
        raise InputError(f"{where}: field 'samples' must be a list of further answers")
    return tuple(_flat(value, where))


def _flat(values: Iterable[Any], where: str) -> Iterable[Sample]:
    """Lists within lists are read through: harnesses write a list of answers for each request."""
    for value in values:
        match value:
            case str() | int() | float():
                yield Sample(str(value))
            case list():
                yield from _flat(value, where)
            case {"answer": str() | int() | float() as text}:
                model = value.get("model")
                yield Sample(str(text), str(model) if model else None)
            case None:
                continue
            case _:
                raise InputError(
                    f"{where}: field 'samples' must hold texts, or objects with 'answer' (and"
                    " 'model')"
                )


def _list_in(text: str, where: str) -> list[Any]:
    """CSV holds a list as text."""
    import json

    from ct_guard.files.lists import list_of_texts

    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list):
        return found
    try:
        listed = list_of_texts(text)
    except ValueError as error:
        raise InputError(f"{where}: field 'samples' {error}: write it as JSON") from None
    return [text] if listed is None else list(listed)
