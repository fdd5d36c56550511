"""Temperature scaling: P(correct) = sigma(z / T). One parameter; it cannot correct a bias."""

import warnings

import numpy as np
import scipy  # type: ignore[import-untyped]
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.calibration.base import Bools, Floats, Params, check_names, number
from ct_guard.errors import CalibrationError

__all__ = ["apply", "check", "fit"]

_LOG_BOUNDS = (np.log(1e-6), np.log(1e3))
"""Of T over the largest |logit|, whose p is then sigma(1e6) = 1 or sigma(1e-3) = 0.50025."""


def check(params: Params) -> None:
    """Raises CalibrationError unless T > 0."""
    check_names(params, "temperature")
    if number(params, "temperature") <= 0:
        raise CalibrationError(
            f"the temperature is {params['temperature']}, not above 0: fit the calibrator again"
        )


def fit(logits: Floats, correct: Bools) -> Params:
    """Maximum likelihood T > 0, as {"temperature": T}; a bounded search on log T.

    Two cases have no such optimum, and are a UserWarning:

    - On average the logits' signs go against the labels. The likelihood grows with T without end:
      T is a thousand times the largest |logit|, and every p is about 1/2.
    - The signs fit every label. The likelihood grows as T falls to 0: the targets are then Platt's
      smoothed ones, (N+ + 1) / (N+ + 2) and 1 / (N- + 2).

    Args:
        logits: shape (n,), finite.
        correct: boolean, shape (n,), both classes.

    Source: Guo et al. 2017, "On calibration of modern neural networks", section 4.2; Platt 1999
    for the smoothed targets.
    """
    largest = float(np.abs(logits).max())
    if largest == 0.0:
        _warn("all logits are 0, so every answer gets p = 1/2: check the scores")
        return {"temperature": 1.0}
    unit = logits / largest  # in [-1, 1], so that nothing below overflows
    margin = np.where(correct, unit, -unit)

    target = correct.astype(np.float64)
    if margin.min() >= 0.0:
        _warn("the logits' signs fit every label, so the targets are smoothed: grade more rows")
        n_right, n_wrong = int(correct.sum()), int((~correct).sum())
        target = np.where(correct, (n_right + 1) / (n_right + 2), 1 / (n_wrong + 2))

    def loss(log_t: float) -> float:
        x = unit / np.exp(log_t)
        return float(np.mean(target * np.logaddexp(0, -x) + (1 - target) * np.logaddexp(0, x)))

    # The loss is convex in 1 / T, so its slope at 1 / T = 0, the mean margin, tells whether there
    # is an optimum; and it is quasi-convex in log T, so the bounded search finds that optimum.
    if margin.mean() <= 0.0:
        _warn("the logits' signs go against the labels, so every p is about 1/2: use 'platt'")
        log_t = _LOG_BOUNDS[1]
    else:
        log_t = scipy.optimize.minimize_scalar(
            loss, bounds=_LOG_BOUNDS, method="bounded", options={"xatol": 1e-8}
        ).x
    limits = np.finfo(np.float64)
    with np.errstate(over="ignore"):
        return {"temperature": float(np.clip(np.exp(log_t) * largest, limits.tiny, limits.max))}


def apply(params: Params, logits: Floats) -> Floats:
    """sigma(z / T), shape (n,), in [0, 1]; `params` as `fit` returns them."""
    with np.errstate(over="ignore"):  # z / T may overflow to an infinity, whose sigma is 0 or 1
        p: Floats = expit(logits / number(params, "temperature"))
    return p


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=4)
