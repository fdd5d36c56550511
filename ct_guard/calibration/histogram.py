"""Histogram binning: the share of right answers among rows of about the same logit."""

import numpy as np

from ct_guard.calibration import steps
from ct_guard.calibration.base import Bools, Floats, Params

__all__ = ["BINS", "apply", "check", "fit"]

BINS = 10
ROWS_A_BIN = 20
"""Fewer bins where rows are few: a share of fewer labels is mostly noise."""


def fit(logits: Floats, correct: Bools) -> Params:
    """Smoothed shares of bins that hold about as many rows each, as {"edges": …, "p": …}.

    Equal logits are never separated. A bin of m rows, k of them right, gets (k + 1) / (m + 2);
    neighbours that decrease are pooled, so that calibration never turns a ranking around.

    Args:
        logits: shape (n,), finite.
        correct: boolean, shape (n,), both classes.

    Source: Zadrozny & Elkan 2001, "Obtaining calibrated probability estimates from decision trees
    and naive Bayesian classifiers", section 3.
    """
    bins = min(BINS, max(1, logits.size // ROWS_A_BIN))
    ordered = np.sort(logits)
    first = ordered[np.arange(1, bins) * logits.size // bins]  # lowest logit of each later bin
    first = np.unique(first[first > ordered[0]])
    below = ordered[np.searchsorted(ordered, first) - 1]
    edges = steps.between(below, first)
    code = np.searchsorted(edges, logits, side="right")
    size = np.bincount(code, minlength=edges.size + 1) + 2.0
    right = np.bincount(code, weights=correct, minlength=edges.size + 1) + 1.0
    return {"edges": edges.tolist(), "p": steps.monotone(right / size, size).tolist()}


apply, check = steps.apply, steps.check
