"""What the answering model's own log-probabilities say: their sum, mean and least, and how far the
first token is ahead of the next best."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import InputError
from ct_guard.files.token_logprobs import numbers_of, tokens_of

from .answers import Answers
from .columns import Unlearnt

__all__ = ["LOGPROBS", "Logprobs"]

Floats = NDArray[np.float64]


class Logprobs:
    """Of the column `logprobs` (`files.token_logprobs`); the margin of objects that have
    `top_logprobs`, as OpenAI's API gives them."""

    name = "logprobs"
    features = ("logprobs_sum", "logprobs_mean", "logprobs_least", "logprobs_margin")

    def look(self, answers: Answers) -> Floats:
        values: Sequence[Any] = answers.columns.get("logprobs") or [None] * len(answers)
        read = np.full((len(answers), 4), np.nan)
        for at, value in enumerate(values):
            tokens, numbers = _read(value, answers, at)
            if numbers:
                known = np.array(numbers)
                read[at] = known.sum(), known.mean(), known.min(), _margin(tokens[0])
        return read

    def learn(self, look: Floats, correct: NDArray[np.bool_], rows: NDArray[np.bool_]) -> Unlearnt:
        return Unlearnt()

    def read(self, look: Floats, state: Unlearnt) -> Floats:
        return look


LOGPROBS = Logprobs()


def _read(value: Any, answers: Answers, at: int) -> tuple[Sequence[Any], tuple[float, ...]]:
    """The tokens, and the log-probability of each."""
    try:
        tokens = tokens_of(value)
        return tokens, numbers_of(tokens)
    except ValueError as error:
        raise InputError(f"{answers.place(at)}: field 'logprobs' {error}") from None


def _margin(token: Any) -> float:
    """Between the two likeliest first tokens, in nats; NaN where only one is known."""
    top = token.get("top_logprobs") if isinstance(token, dict) else None
    known = sorted(
        (float(one["logprob"]) for one in top or () if isinstance(one, dict) and "logprob" in one),
        reverse=True,
    )
    return known[0] - known[1] if len(known) > 1 else math.nan
