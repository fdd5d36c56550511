"""Layers over the log-probabilities that answering models give their own answers."""

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.calibration import apply, fit
from ct_guard.calibration.folds import folds_by_question
from ct_guard.errors import InputError, UsageError
from ct_guard.records import CalibratorState
from ct_guard.store import LogisticLayer
from ct_guard.store.layer import (
    PROVIDER_FEATURES,
    fit_logistic,
    layer_logits,
    provider_features,
)

from .scored import Scored

__all__ = ["fit_provider"]

Floats = NDArray[np.float64]


def fit_provider(
    scored: Scored, calibrators: Mapping[str, CalibratorState], *, min_labels: int, seed: int = 0
) -> tuple[dict[str, LogisticLayer], list[str]]:
    """A layer for each answering model whose rows carry `logprobs`, and what is worth knowing.

    It is kept where its cross-validated log loss, folds by question, is below that of the
    calibrator that serves the model now, fitted anew on the same rows.

    Args:
        scored: rows read with `need="logit"`.
        calibrators: by answering model, as fitted on these rows.
        min_labels: rows with log-probabilities that a model needs.
        seed: of the folds.

    Raises:
        InputError: no row has log-probabilities and an answering model.
    """
    with_them = [at for at, row in enumerate(scored.graded) if row.logprobs and row.model]
    if not with_them:
        raise InputError(
            f"{scored.path}: no row has both 'logprobs' (a list of numbers) and 'model'"
        )
    layers, said = {}, []
    for model in sorted({str(scored.graded[at].model) for at in with_them}):
        rows = scored.take(at for at in with_them if scored.graded[at].model == model)
        name, correct = f"{model}: log-probabilities", rows.correct
        if len(rows) < min_labels or correct.all() or not correct.any():
            right = int(correct.sum())
            said.append(f"{name} of {len(rows):,} labels, {right:,} of them right, are too few.")
            continue
        features = np.stack(
            [provider_features(row.logit, row.logprobs or ()) for row in rows.graded]
        )
        kind = calibrators[model if model in calibrators else "*"].kind
        try:
            without, with_layer = _losses(kind, features, rows, seed)
        except UsageError as error:
            said.append(f"{name} are not used: {error}.")
            continue
        change = f"log loss {without:.4f} without, {with_layer:.4f} with them"
        if with_layer < without:
            layers[model] = fit_logistic(PROVIDER_FEATURES, features, correct)
            said.append(f"{name} are used ({len(rows):,} labels; {change}).")
        else:
            said.append(f"{name} are not used, for they do not help ({change}).")
    return layers, said


def _losses(kind: str, features: Floats, rows: Scored, seed: int) -> tuple[float, float]:
    """Cross-validated log loss of the calibrator, and of the layer."""
    p = np.empty((2, len(rows)))
    for fitted, held_out in folds_by_question(rows.correct, rows.question, seed=seed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the final fit says it
            state = fit(kind, rows.logit[fitted], rows.correct[fitted])
        layer = fit_logistic(PROVIDER_FEATURES, features[fitted], rows.correct[fitted])
        p[0, held_out] = apply(state, rows.logit[held_out])
        p[1, held_out] = expit(layer_logits(layer, features[held_out]))
    right = np.clip(np.where(rows.correct, p, 1.0 - p), 1e-15, 1.0)
    without, with_layer = -np.log(right).mean(axis=1)
    return float(without), float(with_layer)
