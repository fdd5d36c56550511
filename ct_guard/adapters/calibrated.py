"""From an estimator's raw logits to its P(correct)."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.calibration import apply

from .manifest import EVERY_MODEL, Manifest

__all__ = ["calibrated"]


def calibrated(
    manifest: Manifest, logits: NDArray[np.float64], model: str | None = None
) -> NDArray[np.float64]:
    """P(correct), shape (n,), of raw logits of answers by one answering model: by the calibrator of
    that model, else the common one, else the plain sigmoid."""
    state = manifest.calibrators.get(model or EVERY_MODEL)
    state = state or manifest.calibrators.get(EVERY_MODEL)
    if state is None:
        return np.asarray(expit(logits))
    return apply(state, logits)
