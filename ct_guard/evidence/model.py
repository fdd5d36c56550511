"""Who answered: the log-odds of each model's accuracy, shrunk towards the pool's."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ct_guard.records import Record

from .answers import Answers

__all__ = ["MODEL", "Accuracies", "Model", "accuracies", "codes", "log_odds"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PRIOR = 20.0
"""Rows of the pool that every model's own are joined by: five rows move it by a fifth."""


class Accuracies(Record):
    """Log-odds of being right, by model and of the pool, which serves unknown models."""

    pool: float
    models: dict[str, float]


class Model:
    """One number: the log-odds of the answering model's accuracy."""

    name = "model"
    features = ("model",)

    def look(self, answers: Answers) -> tuple[Ints, tuple[str, ...]]:
        return codes([name or "" for name in answers.model])

    def learn(self, look: tuple[Ints, tuple[str, ...]], correct: Bools, rows: Bools) -> Accuracies:
        return accuracies(*look, correct, rows)

    def read(self, look: tuple[Ints, tuple[str, ...]], state: Accuracies) -> Floats:
        code, names = look
        odds = log_odds(state, names)
        odds[np.array([not name for name in names], np.bool_)] = np.nan  # who answered is not known
        return odds[code][:, None]


MODEL = Model()


def codes(names: Sequence[str]) -> tuple[Ints, tuple[str, ...]]:
    """(number of each name, shape (n,); the names by number)."""
    known: dict[str, int] = {}
    numbers = np.array([known.setdefault(name, len(known)) for name in names], np.int64)
    return numbers, tuple(known)


def accuracies(code: Ints, names: Sequence[str], correct: Bools, rows: Bools) -> Accuracies:
    """Of the models `names`, numbered `code` (n,), over those `rows` (n,) whose `correct` counts.
    Rows of an unnamed model ("") count for the pool only."""
    size = len(names)
    right = np.bincount(code[rows], correct[rows], size)
    count = np.bincount(code[rows], minlength=size)
    pool = (right.sum() + 1.0) / (count.sum() + 2.0)
    share = (right + PRIOR * pool) / (count + PRIOR)
    odds = np.log(share / (1.0 - share))
    return Accuracies(
        pool=float(np.log(pool / (1.0 - pool))),
        models={
            name: round(float(odds[at]), 6) for at, name in enumerate(names) if name and count[at]
        },
    )


def log_odds(known: Accuracies, names: Sequence[str]) -> Floats:
    """Shape (len(names),); the pool's for models that are not known."""
    return np.array([known.models.get(name, known.pool) for name in names], np.float64)
