"""Any number that rows hold: a trust score, a judge's mark, a retriever's score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import InputError
from ct_guard.records import Record

from .answers import Answers

__all__ = ["Column", "Unlearnt", "number_of"]

Floats = NDArray[np.float64]

_WORDS = {"true": 1.0, "false": 0.0}


class Unlearnt(Record):
    """The state of evidence that learns nothing before its layer."""


@dataclass(frozen=True)
class Column:
    """The numbers in one column of the rows, as they are."""

    column: str

    @property
    def name(self) -> str:
        return f"column:{self.column}"

    @property
    def features(self) -> tuple[str, ...]:
        return (self.name,)

    def look(self, answers: Answers) -> Floats:
        values: Sequence[Any] = answers.columns.get(self.column) or [None] * len(answers)
        return np.array([number_of(value, self.column, answers, at)
                         for at, value in enumerate(values)], np.float64)  # fmt: skip

    def learn(self, look: Floats, correct: NDArray[np.bool_], rows: NDArray[np.bool_]) -> Unlearnt:
        return Unlearnt()

    def read(self, look: Floats, state: Unlearnt) -> Floats:
        return look[:, None]


def number_of(value: Any, column: str, answers: Answers, at: int) -> float:
    """A cell as a number; NaN where it is empty, null or not finite. Raises InputError for text
    that is none, naming the row."""
    if value is None or value == "":
        return math.nan
    try:
        number = float(_WORDS.get(str(value).lower(), value))
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{answers.place(at)}: field {column!r} must be a number, found {str(value)[:40]!r}:"
            f" leave column:{column} out of --evidence, or write numbers"
        ) from None
    return number if math.isfinite(number) else math.nan
