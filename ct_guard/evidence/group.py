"""The group that an answer is in (a topic, a language, a tenant): the log-odds of being right
there, shrunk towards the whole."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ct_guard.files.columns import cell

from .answers import Answers
from .model import Accuracies, accuracies, codes, log_odds

__all__ = ["Group"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Group:
    """One number, from a column of names. Groups that are not known get the whole's."""

    column: str

    @property
    def name(self) -> str:
        return f"group:{self.column}"

    @property
    def features(self) -> tuple[str, ...]:
        return (self.name,)

    def look(self, answers: Answers) -> tuple[Ints, tuple[str, ...]]:
        values = answers.columns.get(self.column) or [None] * len(answers)
        return codes([cell(value) or "" for value in values])

    def learn(self, look: tuple[Ints, tuple[str, ...]], correct: Bools, rows: Bools) -> Accuracies:
        return accuracies(*look, correct, rows)

    def read(self, look: tuple[Ints, tuple[str, ...]], state: Accuracies) -> Floats:
        code, names = look
        odds = log_odds(state, names)
        odds[np.array([not name for name in names], np.bool_)] = np.nan
        return odds[code][:, None]
