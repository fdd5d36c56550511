"""Fit the hybrid's logistic layer on graded answers, several to a question where there are."""

import numpy as np
from numpy.typing import NDArray

from ct_guard.adapters import LogisticLayer
from ct_guard.adapters.layer import fit_logistic
from ct_guard.errors import TuningError
from ct_guard.estimators import FEATURES

__all__ = ["fit_layer"]


def fit_layer(
    features: NDArray[np.float64], correct: NDArray[np.bool_], *, strength: float = 1.0
) -> LogisticLayer:
    """The layer over `features` [n, len(FEATURES)], see `adapters.layer.fit_logistic`.

    Raises TuningError when there is one class only."""
    if len(np.unique(correct)) < 2:
        raise TuningError("all graded answers are alike: the layer needs right and wrong ones")
    return fit_logistic(FEATURES, features, correct, strength=strength)
