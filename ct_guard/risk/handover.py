"""How often a stronger model is right where a weaker one is unsure, from graded answers of both."""

from collections.abc import Sequence

import numpy as np
import scipy  # type: ignore[import-untyped]
from numpy.typing import ArrayLike
from scipy.special import expit, logit  # type: ignore[import-untyped]

from ct_guard.promises import Handover, HandoverBin

from .rows import Bools, Floats, check_columns

__all__ = ["fit_handover"]

ROWS_A_BIN, MOST_BINS = 40, 10
REACHED = (np.arange(10) + 0.5) / 10
"""Quantiles of the stronger model's P(correct) that are kept of a bin."""
SPREAD = 1.0
"""In logits, standard deviation of the shifts that are believed before any row was seen."""
_SURE = 1e-6
"""P(correct) is taken to be this far from 0 and 1, so that its logit is finite."""


def fit_handover(
    p: ArrayLike, correct: ArrayLike, *, models: Sequence[str], split_hash: str = ""
) -> Handover:
    """What is known of asking each next model, conditional on the P(correct) of the one before it:
    errors of two models go together, so that a stronger model is right less often where the weaker
    one is unsure than it is overall.

    The rows are divided into bins of equal numbers by the weaker model's P(correct). Of each bin:
    how often the stronger model is right, how sure it then is (quantiles), and the shift s for
    which sigmoid(logit P + s) says how often it is right, the maximum a posteriori with a normal
    prior about 0, so that few rows shift little.

    Args:
        p: P(correct), shape (n, K), in [0, 1]: a column a model, in the order in which they are
            asked; a row a question.
        correct: whether the answers are, shape (n, K).
        models: K names, at least 2.
        split_hash: names the rows.

    Raises:
        UsageError: shapes that differ, or values outside their range.
    """
    scores, labels = check_columns(p, correct, len(models))
    return Handover(
        models=tuple(models),
        steps=tuple(
            _step(scores[:, one], scores[:, one + 1], labels[:, one + 1])
            for one in range(len(models) - 1)
        ),
        highest=tuple(scores.max(axis=0).tolist()),
        n=len(scores),
        split_hash=split_hash,
    )


def _step(weaker: Floats, stronger: Floats, right: Bools) -> tuple[HandoverBin, ...]:
    bins = int(np.clip(len(weaker) // ROWS_A_BIN, 1, MOST_BINS))
    starts = np.arange(1, bins) * len(weaker) // bins
    lows = np.unique(np.append(0.0, np.sort(weaker)[starts]))
    in_bin = np.searchsorted(lows, weaker, side="right") - 1
    found: list[HandoverBin] = []
    for number, low in enumerate(lows):
        rows = in_bin == number
        if not rows.any():  # the first, where the least scores are many and alike
            continue
        found.append(
            HandoverBin(
                low=float(low) if found else 0.0,
                rows=int(rows.sum()),
                right=int(right[rows].sum()),
                shift=_shift(stronger[rows], right[rows]),
                reached=tuple(np.quantile(stronger[rows], REACHED).tolist()),
            )
        )
    return tuple(found)


def _shift(p: Floats, right: Bools) -> float:
    logits = logit(np.clip(p, _SURE, 1 - _SURE))

    def slope(shift: float) -> float:
        return float((right - expit(logits + shift)).sum() - shift / SPREAD**2)

    return float(scipy.optimize.brentq(slope, -30.0, 30.0))
