"""What a calibrator is, and the checks that all of them share."""

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ct_guard.errors import CalibrationError

__all__ = [
    "MIN_ROWS",
    "Bools",
    "Calibrator",
    "Floats",
    "Params",
    "check_fit",
    "check_logits",
    "check_names",
    "number",
    "numbers",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Params = dict[str, float | list[float]]

MIN_ROWS = 10
"""Fewer labels than this are refused: two parameters cannot be told from noise."""


class Calibrator(Protocol):
    """A method, as a module with these three functions."""

    def check(self, params: Params) -> None:
        """Raises CalibrationError unless these are parameters that `fit` may return."""
        ...

    def fit(self, logits: Floats, correct: Bools) -> Params:
        """Parameters, all finite. The arguments are checked already: `logits` is finite, shape
        (n,), n >= MIN_ROWS; `correct` has both classes. A degenerate fit is a UserWarning and still
        calibrates."""
        ...

    def apply(self, params: Params, logits: Floats) -> Floats:
        """P(correct), shape (n,), in [0, 1], never decreasing in the logit but for rounding. The
        arguments are checked already."""
        ...


def check_logits(logits: ArrayLike) -> Floats:
    """`logits` as float64 of shape (n,), all finite; CalibrationError otherwise."""
    try:
        array = np.asarray(logits, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CalibrationError(
            f"logits must be numbers: {error}; leave out rows without a score"
        ) from error
    if array.ndim != 1:
        raise CalibrationError(f"logits must be one-dimensional, not of shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise CalibrationError(
            f"logits must be finite: row {bad[0]} is {array[bad[0]]}; "
            "leave out rows without a score"
        )
    return array


def check_fit(logits: ArrayLike, correct: ArrayLike) -> tuple[Floats, Bools]:
    """(logits, correct) fit to learn from; CalibrationError otherwise."""
    scores = check_logits(logits)
    labels: NDArray[np.generic] = np.asarray(correct)
    if labels.shape != scores.shape:
        raise CalibrationError(
            f"correct must have shape {scores.shape} as logits has, not {labels.shape}"
        )
    if labels.dtype != np.bool_ and (
        labels.dtype.kind not in "iuf" or not np.isin(labels, (0, 1)).all()
    ):
        raise CalibrationError("correct must be booleans, or numbers that are all 0 or 1")
    if scores.size < MIN_ROWS:
        raise CalibrationError(
            f"calibration needs at least {MIN_ROWS} graded rows, not {scores.size}: grade more"
        )
    right = labels.astype(np.bool_)
    if right.all() or not right.any():
        raise CalibrationError(
            f"all {right.size} rows are {'correct' if right.all() else 'wrong'}: "
            "calibration needs both, grade more rows"
        )
    return scores, right


def check_names(params: Params, *names: str) -> None:
    """Raises CalibrationError for a parameter of another name."""
    unknown = sorted(params.keys() - set(names))
    if unknown:
        raise CalibrationError(
            f"the calibrator's state has an unknown {unknown[0]!r}: fit it again"
        )


def number(params: Params, name: str) -> float:
    """The parameter `name`, a number; CalibrationError where a state lacks it."""
    value = params.get(name)
    if not isinstance(value, float):
        raise CalibrationError(f"the calibrator's state has no number {name!r}: fit it again")
    return value


def numbers(params: Params, name: str) -> Floats:
    """The parameter `name`, a list of numbers; CalibrationError where a state lacks it."""
    values = params.get(name)
    if not isinstance(values, list):
        raise CalibrationError(f"the calibrator's state has no numbers {name!r}: fit it again")
    return np.array(values, dtype=np.float64)
