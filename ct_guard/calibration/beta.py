"""Beta calibration: P(correct) = sigma(a ln s - b ln(1 - s) + c) with s = sigma(z), a, b >= 0.

Three parameters: where Platt bends both ends alike, this bends each on its own. a = b is Platt.
"""

import warnings

import numpy as np
import scipy  # type: ignore[import-untyped]
from scipy.special import expit, logit  # type: ignore[import-untyped]

from ct_guard.calibration.base import Bools, Floats, Params, check_names, number
from ct_guard.errors import CalibrationError

__all__ = ["apply", "check", "fit"]


def check(params: Params) -> None:
    """Raises CalibrationError unless a, b >= 0: calibration never turns a ranking around."""
    check_names(params, "a", "b", "c")
    number(params, "c")
    for name in "ab":
        if number(params, name) < 0:
            raise CalibrationError(
                f"the slope {name} is {params[name]}, below 0: fit the calibrator again"
            )


def fit(logits: Floats, correct: Bools) -> Params:
    """Maximum likelihood (a, b, c) under a, b >= 0, as {"a": a, "b": b, "c": c}.

    Where the logits separate right from wrong perfectly there is no optimum: the targets are then
    Platt's smoothed ones, (N+ + 1) / (N+ + 2) and 1 / (N- + 2), with a UserWarning.

    Args:
        logits: shape (n,), finite.
        correct: boolean, shape (n,), both classes.

    Source: Kull, Silva Filho & Flach 2017, "Beta calibration".
    """
    order = np.lexsort((correct, logits))  # the result is that of the set of rows, to the last bit
    logits, correct = logits[order], correct[order]
    target = correct.astype(np.float64)
    if logits[~correct].max() <= logits[correct].min() and logits[0] < logits[-1]:
        warnings.warn(
            "the logits separate right from wrong perfectly, so the targets are smoothed: grade"
            " more rows for a sharper fit",
            UserWarning,
            stacklevel=3,
        )
        n_right, n_wrong = int(correct.sum()), int((~correct).sum())
        target = np.where(correct, (n_right + 1) / (n_right + 2), 1 / (n_wrong + 2))
    raw = np.stack(_features(logits))
    low, high = raw.min(axis=1), raw.max(axis=1)
    center, half = low / 2.0 + high / 2.0, high / 2.0 - low / 2.0
    varies = half > 1e-12 * np.maximum(1.0, np.abs(center))
    scale = np.where(varies, half, 1.0)
    # In [-1, 1]; a side on which the logits do not differ tells nothing, and gets no weight.
    unit = np.where(varies, 1.0, 0.0)[:, np.newaxis] * (raw - center[:, np.newaxis])
    unit /= scale[:, np.newaxis]

    def loss(weights: Floats) -> tuple[float, Floats]:
        score = weights[:2] @ unit + weights[2]
        excess = expit(score) - target
        value = np.mean(np.logaddexp(0.0, score) - target * score)
        slope = np.array([*(unit @ excess), excess.sum()]) / target.size
        return float(value), slope

    start = np.array([1.0, 1.0, float(logit(target.mean()))])
    found = scipy.optimize.minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None), (0.0, None), (None, None)],
        options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-9},
    ).x
    weights = np.where(varies, found[:2], 0.0)
    return {
        "a": float(weights[0] / scale[0]),
        "b": float(weights[1] / scale[1]),
        "c": float(found[2] - np.sum(weights * (center / scale))),
    }


def apply(params: Params, logits: Floats) -> Floats:
    """sigma(a ln s - b ln(1 - s) + c), shape (n,), in [0, 1]; `params` as `fit` returns them."""
    log_s, neg_log_rest = _features(logits)
    with np.errstate(over="ignore"):  # may overflow to an infinity, whose sigma is 0 or 1
        score = number(params, "a") * log_s + number(params, "b") * neg_log_rest
        p: Floats = expit(score + number(params, "c"))
    return p


def _features(logits: Floats) -> tuple[Floats, Floats]:
    """ln s and -ln(1 - s): both grow with the logit."""
    return -np.logaddexp(0.0, -logits), np.logaddexp(0.0, logits)
