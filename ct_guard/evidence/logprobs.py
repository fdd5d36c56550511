"""What the answering model's own log-probabilities say: their sum, mean and least, and how far the
first token is ahead of the next best."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import InputError

from .answers import Answers
from .columns import Unlearnt

__all__ = ["LOGPROBS", "Logprobs"]

Floats = NDArray[np.float64]


class Logprobs:
    """Of the column `logprobs`: a list of numbers, or of objects with `logprob` and, for the
    margin, `top_logprobs`, as OpenAI's API gives them."""

    name = "logprobs"
    features = ("logprobs_sum", "logprobs_mean", "logprobs_least", "logprobs_margin")

    def look(self, answers: Answers) -> Floats:
        values: Sequence[Any] = answers.columns.get("logprobs") or [None] * len(answers)
        read = np.full((len(answers), 4), np.nan)
        for at, value in enumerate(values):
            tokens = _tokens(value, answers, at)
            if tokens:
                known = np.array([_logprob(token, answers, at) for token in tokens])
                read[at] = known.sum(), known.mean(), known.min(), _margin(tokens[0])
        return read

    def learn(self, look: Floats, correct: NDArray[np.bool_], rows: NDArray[np.bool_]) -> Unlearnt:
        return Unlearnt()

    def read(self, look: Floats, state: Unlearnt) -> Floats:
        return look


LOGPROBS = Logprobs()


def _tokens(value: Any, answers: Answers, at: int) -> Sequence[Any]:
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _unreadable(answers, at) from None
    if isinstance(value, dict):
        value = value.get("content")
    if value is None or value == "":
        return ()
    if not isinstance(value, (list, tuple)):
        raise _unreadable(answers, at)
    return value


def _logprob(token: Any, answers: Answers, at: int) -> float:
    number = token.get("logprob") if isinstance(token, dict) else token
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise _unreadable(answers, at)
    if not -math.inf < number <= 0:
        raise _unreadable(answers, at)
    return float(number)


def _margin(token: Any) -> float:
    """Between the two likeliest first tokens, in nats; NaN where only one is known."""
    top = token.get("top_logprobs") if isinstance(token, dict) else None
    known = sorted(
        (float(one["logprob"]) for one in top or () if isinstance(one, dict) and "logprob" in one),
        reverse=True,
    )
    return known[0] - known[1] if len(known) > 1 else math.nan


def _unreadable(answers: Answers, at: int) -> InputError:
    return InputError(
        f"{answers.place(at)}: field 'logprobs' must be a list of finite numbers, none above 0, or"
        " of objects with 'logprob'"
    )
