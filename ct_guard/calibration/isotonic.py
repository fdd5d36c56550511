"""Isotonic regression: any non-decreasing P(correct) of the logit. Overfits below 1,000 labels."""

import numpy as np

from ct_guard.calibration import steps
from ct_guard.calibration.base import Bools, Floats, Params

__all__ = ["apply", "check", "fit"]


def fit(logits: Floats, correct: Bools) -> Params:
    """The non-decreasing step function closest to the labels, as {"edges": …, "p": …}.

    Values are kept within [1 / (n + 2), (n + 1) / (n + 2)]: no sample makes an answer certain.

    Args:
        logits: shape (n,), finite.
        correct: boolean, shape (n,), both classes.

    Source: Zadrozny & Elkan 2002, "Transforming classifier scores into accurate multiclass
    probability estimates".
    """
    values, code, count = np.unique(logits, return_inverse=True, return_counts=True)
    rate = np.bincount(code, weights=correct) / count
    fitted = steps.monotone(rate, count.astype(np.float64))
    n = logits.size
    p = np.clip(fitted, 1.0 / (n + 2), (n + 1.0) / (n + 2))
    rises = np.flatnonzero(np.diff(p) > 0.0)
    return {
        "edges": steps.between(values[rises], values[rises + 1]).tolist(),
        "p": p[np.append(rises, p.size - 1)].tolist(),
    }


apply, check = steps.apply, steps.check
