"""What a base model reads of an answer, as evidence beside others: the estimator's raw score, and
by name what it is made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .answers import Answers
from .columns import Unlearnt

__all__ = ["READINGS", "Reading", "read_column"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """One number, a logit; there is none where no base model reads the answers."""

    name: str

    @property
    def features(self) -> tuple[str, ...]:
        return (self.name,)

    def look(self, answers: Answers) -> Floats:
        return answers.readings.get(self.name, np.full(len(answers), np.nan))

    def learn(self, look: Floats, correct: NDArray[np.bool_], rows: NDArray[np.bool_]) -> Unlearnt:
        return Unlearnt()

    def read(self, look: Floats, state: Unlearnt) -> Floats:
        return look[:, None]


READINGS = tuple(
    map(Reading, ("logit", "query", "likelihood", "perplexity", "probe", "question_prior"))
)
"""`logit` is the raw score of the estimator, whatever its method; the others are by the names of
the methods that go by them alone."""


def read_column(name: str) -> str:
    """The column of a scored file that holds a reading by its name."""
    return name if name == "logit" else f"read_{name}"
