"""From an estimator's raw logits to its P(correct)."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.calibration import apply
from ct_guard.records import CalibratorState

from .layer import layer_logits, provider_features
from .manifest import EVERY_MODEL, LogisticLayer

__all__ = ["calibrated", "calibrator_for", "provider_layer_for", "with_logprobs"]


def calibrator_for(
    calibrators: Mapping[str, CalibratorState], model: str | None, group: str | None = None
) -> CalibratorState | None:
    """The calibrator of the group, else of the answering model, else the common one."""
    for key in (group, model, EVERY_MODEL):
        if key is not None and key in calibrators:
            return calibrators[key]
    return None


def calibrated(
    calibrators: Mapping[str, CalibratorState],
    logits: NDArray[np.float64],
    model: str | None = None,
    group: str | None = None,
) -> NDArray[np.float64]:
    """P(correct), shape (n,), of raw logits of answers by one answering model (in one group), by
    `calibrator_for` them; by the plain sigmoid where there is none."""
    state = calibrator_for(calibrators, model, group)
    return np.asarray(expit(logits)) if state is None else apply(state, logits)


def provider_layer_for(
    layers: Mapping[str, LogisticLayer],
    model: str | None,
    group: str | None,
    logprobs: Sequence[float] | None,
) -> LogisticLayer | None:
    """The layer that was fitted on this very model's log-probabilities, for an answer that carries
    them. There is none in common: another model's are another distribution."""
    if not logprobs or group is not None or model is None:
        return None
    return layers.get(model)


def with_logprobs(layer: LogisticLayer, logit: float, logprobs: Sequence[float]) -> float:
    """P(correct) from the raw logit and the answering model's own log-probabilities."""
    known = provider_features(logit, logprobs)
    return float(expit(layer_logits(layer, known[None])[0]))
