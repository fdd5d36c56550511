"""From an estimator's raw logits to its P(correct): the one place where this is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.calibration import apply
from ct_guard.calibration.groups import Within, apply_groups
from ct_guard.errors import UsageError
from ct_guard.records import CalibratorState, GroupCorrections

from .layer import layer_logits, provider_features
from .manifest import EVERY_MODEL, LogisticLayer, Manifest

__all__ = ["Fitted", "Probabilities", "calibrated", "calibrator_for", "p_correct"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Fitted:
    """Of a manifest, what probabilities are made by; for calibrators that are in none yet."""

    calibrators: Mapping[str, CalibratorState]
    provider: Mapping[str, LogisticLayer] = field(default_factory=dict)
    groups: Sequence[GroupCorrections] = ()
    weighs: bool = False


@dataclass(frozen=True)
class Probabilities:
    """What n raw logits come to, arrays of shape (n,)."""

    p: Floats
    """P(correct), in [0, 1]."""
    calibrated: Bools
    """Whether it was fitted for such answers. A group (calls of tools) is another kind of answer:
    without a calibrator of its own, another serves it but does not count."""
    by_logprobs: Bools
    """Whether the answering model's own log-probabilities were read."""


def p_correct(
    fitted: Manifest | Fitted,
    logits: Floats,
    models: Sequence[str | None],
    groups: Sequence[str | None] | None = None,
    logprobs: Sequence[Sequence[float] | None] | None = None,
    *,
    weighed: Floats | None = None,
    within: Within | None = None,
) -> Probabilities:
    """P(correct) of n answers under an estimator's calibrators and layers.

    Where an answer carries log-probabilities and its model has a layer over them, that layer. Else
    the calibrator of its group, else of its answering model, else the common one, else the plain
    sigmoid. Then what its domain, its language… differ by from the whole.

    Args:
        fitted: the estimator's manifest, or what of it counts here.
        logits: raw scores, shape (n,).
        models: who answered, for each.
        groups: what kind of answer each is, see `QuestionAnswer.group`; None: no kind of its own.
        logprobs: what the answering model says of each answer's tokens, in nats.
        weighed: logits, shape (n,), of the raw scores weighed with evidence of rows; they take the
            raw ones' place in estimators that weigh it.
        within: values of the columns that `fitted.groups` names, where rows have them.

    Raises:
        UsageError: the estimator weighs evidence, and the answers come without it.
    """
    n = len(logits)
    if fitted.weighs and weighed is None:
        raise UsageError(
            "this estimator weighs evidence of rows: its probabilities do not follow from raw"
            " scores alone"
        )
    logits = logits if weighed is None else weighed
    groups, logprobs = groups or [None] * n, logprobs or [None] * n
    p, known_for, by_logprobs = np.empty(n), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    alike: dict[tuple[str | None, str | None], list[int]] = {}
    for at, (model, group, known) in enumerate(zip(models, groups, logprobs, strict=True)):
        layer = _layer_for(fitted.provider, model, group, known)
        if layer is None or known is None:
            alike.setdefault((model, group), []).append(at)
            continue
        features = provider_features(float(logits[at]), known)
        p[at] = expit(layer_logits(layer, features[None])[0])
        known_for[at] = by_logprobs[at] = True
    states = fitted.calibrators
    for (model, group), rows in alike.items():
        p[rows] = calibrated(states, logits[rows], model, group)
        known_for[rows] = (
            calibrator_for(states, model) is not None if group is None else group in states
        )
    if fitted.groups:
        p = apply_groups(fitted.groups, p, within or {})
    return Probabilities(p, known_for, by_logprobs)


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
    logits: Floats,
    model: str | None = None,
    group: str | None = None,
) -> Floats:
    """What calibrators alone make, shape (n,), of raw logits of answers by one answering model (in
    one group), by `calibrator_for` them; by the plain sigmoid where there is none."""
    state = calibrator_for(calibrators, model, group)
    return np.asarray(expit(logits)) if state is None else apply(state, logits)


def _layer_for(
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
