"""Logistic layers over named features: fitted, and applied."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .manifest import LogisticLayer

__all__ = ["PROVIDER_FEATURES", "fit_logistic", "layer_logits", "provider_features"]

Floats = NDArray[np.float64]

PROVIDER_FEATURES = ("logit", "log_p", "mean_log_p", "worst_log_p")
"""The estimator's raw score; what the answering model says of its own answer: its log-probability,
in total, per token and of its least likely token."""


def provider_features(logit: float, logprobs: Sequence[float]) -> Floats:
    """Shape (len(PROVIDER_FEATURES),); there must be log-probabilities."""
    known = np.asarray(logprobs, dtype=np.float64)
    return np.array([logit, known.sum(), known.mean(), known.min()])


def layer_logits(layer: LogisticLayer, features: Floats) -> Floats:
    """Logits, shape (n,), of features, shape (n, len(layer.features))."""
    known = np.clip(features, layer.low, layer.high)
    scaled = (known - np.array(layer.mean)) / np.array(layer.scale)
    return np.asarray(layer.intercept + scaled @ np.array(layer.coef), dtype=np.float64)


def fit_logistic(
    names: tuple[str, ...], features: Floats, correct: NDArray[np.bool_]
) -> LogisticLayer:
    """Clip `features`, shape (n, len(names)), to their central 98%, standardise them and fit an
    L2-regularised logistic regression; `correct` has both classes."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    low, high = np.percentile(features, (1, 99), axis=0)
    known = np.clip(features, low, high)
    mean = known.mean(0)
    scale = np.maximum(known.std(0), 1e-6)
    model = LogisticRegression(max_iter=1000).fit((known - mean) / scale, correct)
    return LogisticLayer(
        features=names,
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        coef=tuple(model.coef_[0].tolist()),
        intercept=float(model.intercept_[0]),
    )
