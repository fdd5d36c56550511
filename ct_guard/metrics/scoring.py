"""Proper scores: they reward calibration and ranking at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ct_guard.errors import UsageError
from ct_guard.metrics._arrays import bin_index, check

__all__ = ["MurphyDecomposition", "brier", "log_loss", "murphy_decomposition"]


@dataclass(frozen=True)
class MurphyDecomposition:
    """brier = reliability - resolution + uncertainty + within_bin, exactly."""

    reliability: float
    """Mean squared gap between accuracy and mean p of the bins: 0 is calibrated."""
    resolution: float
    """Variance of the bins' accuracy: what the score knows beyond the base rate."""
    uncertainty: float
    """Variance of the labels, a (1 - a): the Brier score of always answering the base rate a."""
    within_bin: float
    """What binning hides: variance of p inside bins, less twice its covariance with the labels.
    0 where every bin holds one value of p."""


def brier(p: ArrayLike, correct: ArrayLike) -> float:
    """Mean of (p - correct)^2.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).

    Returns:
        A number in [0, 1], lower is better; always answering the base rate a scores a (1 - a).

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1].

    Source: Brier 1950.
    """
    scores, labels = check(p, correct)
    return float(np.mean((scores - labels) ** 2))


def murphy_decomposition(
    p: ArrayLike, correct: ArrayLike, *, bins: int = 10
) -> MurphyDecomposition:
    """The Brier score as reliability - resolution + uncertainty (+ what binning hides).

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        bins: bins of equal width, >= 1, the last one closed.

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1], bins < 1.

    Source: Murphy 1973; the within-bin part is Stephenson, Coelho & Jolliffe 2008, without which
    the parts of a continuous p do not add up.
    """
    scores, labels = check(p, correct)
    if bins < 1:
        raise UsageError(f"bins must be at least 1, not {bins}")
    index = bin_index(scores, np.arange(bins + 1) / bins)
    count = np.maximum(np.bincount(index, minlength=bins), 1)
    mean_p = (np.bincount(index, weights=scores, minlength=bins) / count)[index]
    accuracy = (np.bincount(index, weights=labels, minlength=bins) / count)[index]
    base = float(np.mean(labels))
    inside = scores - mean_p
    return MurphyDecomposition(
        reliability=float(np.mean((accuracy - mean_p) ** 2)),
        resolution=float(np.mean((accuracy - base) ** 2)),
        uncertainty=base * (1.0 - base),
        within_bin=float(np.mean(inside**2) - 2.0 * np.mean(inside * (labels - accuracy))),
    )


def log_loss(p: ArrayLike, correct: ArrayLike) -> float:
    """Mean of -log P(what happened), in nats.

    Args:
        p: P(correct), shape (n,), in [0, 1]; clipped to [eps, 1 - eps], eps = 2.2e-16, as
            scikit-learn does, so that one certain and wrong row costs 36 and not infinity.
        correct: boolean, shape (n,).

    Returns:
        A number >= 0, lower is better; 0.693 for p = 1/2 throughout.

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1].
    """
    scores, labels = check(p, correct)
    eps = np.finfo(np.float64).eps
    clipped = np.clip(scores, eps, 1.0 - eps)
    return float(-np.mean(np.where(labels, np.log(clipped), np.log1p(-clipped))))
