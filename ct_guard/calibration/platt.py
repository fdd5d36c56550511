"""Platt scaling: P(correct) = sigma(a z + b), a >= 0. The default below about 1,000 labels."""

import warnings

import numpy as np
from scipy.linalg import LinAlgWarning  # type: ignore[import-untyped]
from scipy.special import expit, logit  # type: ignore[import-untyped]

from ct_guard.calibration.base import Bools, Floats, Params, check_names, number
from ct_guard.errors import CalibrationError

__all__ = ["apply", "check", "fit"]


def check(params: Params) -> None:
    """Raises CalibrationError unless a >= 0: calibration never turns a ranking around."""
    check_names(params, "a", "b")
    number(params, "b")
    if number(params, "a") < 0:
        raise CalibrationError(f"the slope a is {params['a']}, below 0: fit the calibrator again")


def fit(logits: Floats, correct: Bools) -> Params:
    """Maximum likelihood (a, b) under a >= 0, as {"a": a, "b": b}.

    Three cases have no such optimum with a > 0, and are a UserWarning:

    - Higher logits do not go with right answers. The likelihood is concave, so under a >= 0 its
      maximum is on the border: a = 0, b = logit(base rate). The score is not used at all.
    - All logits are equal: the same.
    - The logits separate right from wrong perfectly, and the likelihood grows without end in a
      (or nearly so, and its optimum is out of numerical reach). Then the targets are Platt's
      smoothed ones, (N+ + 1) / (N+ + 2) and 1 / (N- + 2).

    Args:
        logits: shape (n,), finite.
        correct: boolean, shape (n,), both classes.

    Source: Platt 1999, "Probabilistic outputs for support vector machines", section 2.2.
    """
    # Fitted on [-1, 1]: the optimum is the same one, and huge logits are no harder. Halves first,
    # because the difference of two floats may overflow.
    low, high = float(logits.min()), float(logits.max())
    center, scale = low / 2.0 + high / 2.0, high / 2.0 - low / 2.0
    if scale <= 1e-12 * max(1.0, abs(center)):
        return _without_scores(correct, "all logits are equal: check the scores")

    unit = (logits - center) / scale
    # The likelihood is concave, so its slope in a at (0, logit(base rate)), which is this
    # covariance, tells on which side of a = 0 the optimum lies.
    if np.dot(unit, correct - np.mean(correct)) <= 0.0:
        return _without_scores(correct, "higher logits do not go with right answers")

    fitted = None
    if logits[~correct].max() > logits[correct].min():
        fitted = _logistic(unit, correct.astype(np.float64))
    if fitted is None:
        warnings.warn(
            "the logits separate right from wrong perfectly, or all but, so the targets are "
            "smoothed: grade more rows for a sharper fit",
            UserWarning,
            stacklevel=3,
        )
        n_right, n_wrong = int(correct.sum()), int((~correct).sum())
        smoothed = np.where(correct, (n_right + 1) / (n_right + 2), 1 / (n_wrong + 2))
        fitted = _logistic(unit, smoothed)
    if fitted is None:
        raise CalibrationError("the fit did not converge: look for outliers among the logits")
    slope, intercept = max(fitted[0], 0.0), fitted[1]  # a slope of 0 may be rounded below it
    return {"a": slope / scale, "b": intercept - slope * (center / scale)}


def apply(params: Params, logits: Floats) -> Floats:
    """sigma(a z + b), shape (n,), in [0, 1]; `params` as `fit` returns them."""
    with np.errstate(over="ignore"):  # a z may overflow to an infinity, whose sigma is 0 or 1
        p: Floats = expit(number(params, "a") * logits + number(params, "b"))
    return p


def _without_scores(correct: Bools, why: str) -> Params:
    warnings.warn(
        f"{why}: every answer gets the base rate. These scores tell nothing of these answers: take"
        " more graded rows or another base; or the labels are swapped",
        UserWarning,
        stacklevel=4,
    )
    return {"a": 0.0, "b": float(logit(np.mean(correct)))}


def _logistic(z: Floats, target: Floats) -> tuple[float, float] | None:
    """Unpenalised logistic regression on targets in [0, 1]: every row stands once as right, with
    weight `target`, and once as wrong, with the rest. None where it does not converge."""
    # to apply a calibrator needs none of what takes long to load here
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    failures = (ConvergenceWarning, LinAlgWarning, RuntimeWarning)
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    with warnings.catch_warnings():
        for category in failures:
            warnings.simplefilter("error", category)
        try:
            model.fit(
                np.concatenate((z, z))[:, np.newaxis],
                np.repeat([True, False], z.size),
                sample_weight=np.concatenate((target, 1.0 - target)),
            )
        except failures:
            return None
    return float(model.coef_[0, 0]), float(model.intercept_[0])
