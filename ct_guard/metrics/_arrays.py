"""What every metric accepts, checked in one place."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ct_guard.errors import UsageError

__all__ = ["Bools", "Floats", "Ints", "bin_index", "check", "check_p", "check_same_length"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]


def check_p(p: ArrayLike) -> Floats:
    """`p` as float64 of shape (n,), n >= 1, in [0, 1]; UsageError otherwise."""
    try:
        array = np.asarray(p, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"p must be numbers in [0, 1]: {error}; leave out rows without a probability"
        ) from error
    if array.ndim != 1 or array.size == 0:
        raise UsageError(f"p must be one-dimensional and not empty, not of shape {array.shape}")
    bad = np.flatnonzero(~((array >= 0.0) & (array <= 1.0)))  # catches NaN as well
    if bad.size:
        raise UsageError(
            f"p must be in [0, 1]: row {bad[0]} is {array[bad[0]]}; "
            "leave out rows without a probability"
        )
    return array


def check_same_length(name: str, values: ArrayLike, n: int) -> NDArray[np.generic]:
    """`values` as an array of shape (n,); UsageError otherwise."""
    array: NDArray[np.generic] = np.asarray(values)
    if array.shape != (n,):
        raise UsageError(f"{name} must have shape ({n},) as p has, not {array.shape}")
    return array


def check(p: ArrayLike, correct: ArrayLike) -> tuple[Floats, Bools]:
    """(p, correct) as arrays of one shape (n,), n >= 1; UsageError otherwise.

    `correct` is boolean, or numbers that are all 0 or 1.
    """
    scores = check_p(p)
    labels = check_same_length("correct", correct, scores.size)
    if labels.dtype != np.bool_:
        if labels.dtype.kind not in "iuf" or not np.isin(labels, (0, 1)).all():
            raise UsageError("correct must be booleans, or numbers that are all 0 or 1")
        labels = labels.astype(np.bool_)
    return scores, labels.astype(np.bool_, copy=False)


def bin_index(p: Floats, edges: Floats) -> Ints:
    """Bin of each row for ascending `edges` of shape (bins + 1,): [a, b), the last one [a, b]."""
    return np.searchsorted(edges[1:-1], p, side="right")
