"""Rows that something is promised of: what their scores and labels must be."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ct_guard.errors import UsageError

__all__ = ["Bools", "Floats", "Ints", "check_columns", "check_rows"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]


def check_rows(p: ArrayLike, correct: ArrayLike) -> tuple[Floats, Bools]:
    """P(correct) and labels of n rows, shapes (n,). Raises UsageError for what is neither."""
    scores, labels = _checked(p, correct)
    if scores.ndim != 1 or scores.size == 0 or labels.shape != scores.shape:
        raise UsageError(
            "p and correct must be one-dimensional, not empty and of the same length, "
            f"not of shapes {scores.shape} and {labels.shape}"
        )
    return _in_range(scores, labels)


def check_columns(p: ArrayLike, correct: ArrayLike, models: int) -> tuple[Floats, Bools]:
    """The same of several models' answers to n questions, shapes (n, models)."""
    scores, labels = _checked(p, correct)
    if scores.ndim != 2 or scores.shape[1] != models or labels.shape != scores.shape or not models:
        raise UsageError(
            f"p and correct of {models} models need a column each, "
            f"not the shapes {scores.shape} and {labels.shape}"
        )
    if not len(scores):
        raise UsageError("there is no row")
    return _in_range(scores, labels)


def _checked(p: ArrayLike, correct: ArrayLike) -> tuple[Floats, NDArray[np.generic]]:
    try:
        return np.asarray(p, dtype=np.float64), np.asarray(correct)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"p must be numbers in [0, 1]: {error}; leave out rows without a probability"
        ) from error


def _in_range(scores: Floats, labels: NDArray[np.generic]) -> tuple[Floats, Bools]:
    if not ((scores >= 0.0) & (scores <= 1.0)).all():
        raise UsageError("p must be in [0, 1]: leave out rows without a probability")
    if labels.dtype != np.bool_ and (
        labels.dtype.kind not in "iuf" or not np.isin(labels, (0, 1)).all()
    ):
        raise UsageError("correct must be booleans, or numbers that are all 0 or 1")
    return scores, labels.astype(np.bool_)
