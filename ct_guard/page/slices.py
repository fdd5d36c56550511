"""How answers of one kind are judged: each value of a column by itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ct_guard.metrics import auroc, ece, ece_noise_floor

from .tally import LEVEL, Bools, Floats, Ints, drawn, wilson

__all__ = ["MOST_SLICES", "slices"]

MOST_SLICES = 40
"""Those with most rows are shown."""


def slices(
    p: Floats,
    correct: Bools,
    question: Ints,
    values: Sequence[str],
    *,
    resamples: int = 200,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The values with most rows first: `name`, `rows`, the share of right answers `accuracy` (95%:
    `low` to `high`), the mean of P(correct) `mean_p`, how far it lies above that share `gap`
    (`gap_low` to `gap_high`), `auroc` (None where all are right, or all wrong), `ece`, and the
    `floor` that noise alone would give it.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        question: shape (n,); rows with equal values are drawn together.
        values: n values of the column.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    names, code = np.unique(np.asarray(values), return_inverse=True)
    size = names.size
    right = correct.astype(np.float64)

    def sums(weights: Floats) -> Floats:
        return np.bincount(code, weights=weights, minlength=size).astype(np.float64)

    draws = []
    for weight in drawn(question, resamples=resamples, seed=seed):
        rows = np.maximum(sums(weight), 1e-9)
        draws.append((sums(weight * right) / rows, sums(weight * (p - right)) / rows))
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    (low, gap_low), (high, gap_high) = np.quantile(np.array(draws), tails, axis=0)
    count = sums(np.ones(p.size))
    alone = wilson(sums(right), count)
    found = []
    for at in np.argsort(-count, kind="stable")[:MOST_SLICES]:
        inside = code == at
        accuracy, mean_p = float(right[inside].mean()), float(p[inside].mean())
        found.append(
            {
                "name": str(names[at]),
                "rows": int(count[at]),
                "accuracy": accuracy,
                "low": float(min(low[at], alone.low[at])),
                "high": float(max(high[at], alone.high[at])),
                "mean_p": mean_p,
                "gap": mean_p - accuracy,
                "gap_low": float(gap_low[at]),
                "gap_high": float(gap_high[at]),
                "auroc": auroc(p[inside], correct[inside]),
                "ece": ece(p[inside], correct[inside]),
                "floor": ece_noise_floor(p[inside], draws=50),
            }
        )
    return found
