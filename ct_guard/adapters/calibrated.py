"""From an estimator's raw logits to its P(correct)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.calibration import apply
from ct_guard.records import CalibratorState

from .manifest import EVERY_MODEL

__all__ = ["calibrated"]


def calibrated(
    calibrators: Mapping[str, CalibratorState],
    logits: NDArray[np.float64],
    model: str | None = None,
) -> NDArray[np.float64]:
    """P(correct), shape (n,), of raw logits of answers by one answering model: by the calibrator of
    that model, else the common one, else the plain sigmoid."""
    state = calibrators.get(model or EVERY_MODEL) or calibrators.get(EVERY_MODEL)
    if state is None:
        return np.asarray(expit(logits))
    return apply(state, logits)
