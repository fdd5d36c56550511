"""Calibrators from a scored file: one for every answering model, or one for each."""

from dataclasses import dataclass

import numpy as np

from ct_guard.calibration import MIN_ROWS, Choice, choose, fit
from ct_guard.errors import CalibrationError
from ct_guard.records import CalibratorState
from ct_guard.store import EVERY_MODEL

from .scored import Scored

__all__ = ["MIN_LABELS", "Calibration", "calibrate"]

MIN_LABELS = 100
"""Labels that an answering model needs for a calibrator of its own."""


@dataclass(frozen=True)
class Calibration:
    """Calibrators by answering model, how each was chosen, and what is worth knowing."""

    calibrators: dict[str, CalibratorState]
    choices: dict[str, Choice]
    remarks: list[str]


def calibrate(
    scored: Scored,
    *,
    kind: str | None = None,
    per_model: bool = True,
    min_labels: int = MIN_LABELS,
    seed: int = 0,
) -> Calibration:
    """Fit calibrators on the raw logits.

    The common one (`"*"`) is fitted on all rows. Where the rows name several answering models, each
    with at least `min_labels` labels of both kinds gets its own: calibration does not carry over.

    Args:
        scored: rows read with `need="logit"`.
        kind: of calibrator; None chooses by cross-validated log loss, for each anew.
        per_model: whether models get their own.
        min_labels: labels that a model needs for that, at least 10.
        seed: of the folds.

    Raises:
        CalibrationError: the rows cannot be learnt from: too few, or one class only; names the
            file.
    """
    models = [row.model for row in scored.graded]
    named = sorted({model for model in models if model is not None})
    groups = {EVERY_MODEL: np.arange(len(scored))}
    said = []
    if per_model and len(named) > 1:
        for model in named:
            at = np.flatnonzero([one == model for one in models])
            labels = scored.correct[at]
            if at.size < max(min_labels, MIN_ROWS) or labels.all() or not labels.any():
                said.append(
                    f"{model}: {at.size:,} labels, {int(labels.sum()):,} of them right, are too few"
                    " for a calibrator of its own; the common one serves it."
                )
            else:
                groups[model] = at
    calibrators, choices = {}, {}
    for model, at in groups.items():
        logits, correct = scored.logit[at], scored.correct[at]
        try:
            choices[model] = (
                choose(logits, correct, scored.question[at], seed=seed)
                if kind is None
                else Choice(kind, {}, "as asked for")
            )
            calibrators[model] = fit(choices[model].kind, logits, correct)
        except CalibrationError as error:
            raise CalibrationError(f"{scored.path}: {error}") from error
    return Calibration(calibrators, choices, said)
