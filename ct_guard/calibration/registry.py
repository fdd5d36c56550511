"""Calibrators by kind. A new one is a module with `fit` and `apply`, and one line here."""

from numpy.typing import ArrayLike

from ct_guard.calibration import beta, histogram, isotonic, platt, temperature
from ct_guard.calibration.base import Calibrator, Floats, check_fit, check_logits
from ct_guard.errors import CalibrationError
from ct_guard.records import CalibratorState

__all__ = ["CALIBRATORS", "apply", "check", "fit"]

CALIBRATORS: dict[str, Calibrator] = {
    "beta": beta,
    "histogram": histogram,
    "isotonic": isotonic,
    "platt": platt,
    "temperature": temperature,
}


def fit(kind: str, logits: ArrayLike, correct: ArrayLike) -> CalibratorState:
    """Learn p = f(logit) from graded answers, by maximum likelihood.

    Fit on rows of their own: not those the estimator was tuned on, nor those that certify a
    threshold or test the result.

    Args:
        kind: a key of `CALIBRATORS`.
        logits: raw scores, shape (n,), finite, n >= 10.
        correct: boolean, shape (n,), with both classes.

    Returns:
        The calibrator as plain data, for `apply` and for JSON.

    Raises:
        CalibrationError: an unknown kind, fewer than 10 rows, one class only, logits that are not
            finite, shapes that differ.

    Warns:
        UserWarning: a degenerate fit, which still gives probabilities; the message says which.
    """
    calibrator = _get(kind)
    scores, labels = check_fit(logits, correct)
    return CalibratorState(kind=kind, params=calibrator.fit(scores, labels), n=scores.size)


def apply(state: CalibratorState, logits: ArrayLike) -> Floats:
    """Calibrated P(correct) of raw scores.

    Args:
        state: as `fit` returned it, or read from JSON.
        logits: shape (n,), finite; n may be 0.

    Returns:
        float64, shape (n,), in [0, 1], never decreasing in the logit but for rounding.

    Raises:
        CalibrationError: what `check` refuses, logits that are not finite or not one-dimensional.
    """
    check(state)
    return _get(state.kind).apply(state.params, check_logits(logits))


def check(state: CalibratorState) -> None:
    """Raises CalibrationError for a state that no fit gives: an unknown kind, parameters that are
    missing or unknown, a slope below 0, a temperature that is not above 0, values that are no
    probabilities or descend."""
    _get(state.kind).check(state.params)


def _get(kind: str) -> Calibrator:
    try:
        return CALIBRATORS[kind]
    except KeyError:
        known = ", ".join(sorted(CALIBRATORS))
        raise CalibrationError(f"no calibrator {kind!r}: the kinds are {known}") from None
