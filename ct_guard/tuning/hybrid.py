"""Fit the hybrid's logistic layer on graded answers, several to a question where there are."""

import numpy as np
from numpy.typing import NDArray

from ct_guard.adapters import LogisticLayer
from ct_guard.errors import TuningError
from ct_guard.estimators import FEATURES

__all__ = ["fit_layer"]


def fit_layer(
    features: NDArray[np.float64], correct: NDArray[np.bool_], *, strength: float = 1.0
) -> LogisticLayer:
    """Clip `features` [n, len(FEATURES)] to their central 98%, standardise them and fit an
    L2-regularised logistic regression (`strength` is sklearn's C).

    Raises TuningError when there is one class only."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    if len(np.unique(correct)) < 2:
        raise TuningError("all graded answers are alike: the layer needs right and wrong ones")
    low, high = np.percentile(features, (1, 99), axis=0)
    known = np.clip(features, low, high)
    mean = known.mean(0)
    scale = np.maximum(known.std(0), 1e-6)
    model = LogisticRegression(C=strength, max_iter=1000).fit((known - mean) / scale, correct)
    return LogisticLayer(
        features=FEATURES,
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        coef=tuple(model.coef_[0].tolist()),
        intercept=float(model.intercept_[0]),
    )
