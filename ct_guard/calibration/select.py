"""Which kind of calibrator: chosen by log loss on questions that were not fitted on."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ct_guard.calibration.base import Bools, Floats, check_fit
from ct_guard.calibration.folds import folds_by_question
from ct_guard.calibration.registry import CALIBRATORS, apply, fit
from ct_guard.errors import CalibrationError, UsageError

__all__ = ["MANY", "PREFERRED", "Choice", "choose"]

MANY = 1000
"""Labels from which a free form is trusted: isotonic takes part, and the least log loss wins."""
PREFERRED = "platt"
NEEDS_MANY = frozenset({"isotonic"})


@dataclass(frozen=True)
class Choice:
    """The kind that was chosen, and why."""

    kind: str
    log_loss: dict[str, float]
    """By kind, cross-validated, in nats; empty where the rows are too few for that."""
    reason: str


def choose(logits: ArrayLike, correct: ArrayLike, questions: ArrayLike, *, seed: int = 0) -> Choice:
    """The kind with the least cross-validated log loss, folds by question.

    Below `MANY` labels isotonic is left out, and Platt is kept unless another kind is better by
    more than two standard errors of the difference (over questions): two parameters that mend scale
    and bias are hard to beat there, and differences are mostly noise.

    Args:
        logits: shape (n,), finite.
        correct: boolean, shape (n,).
        questions: shape (n,); equal values are answers to one question.
        seed: of the folds.

    Raises:
        CalibrationError: what `fit` refuses.
    """
    scores, labels = check_fit(logits, correct)
    groups = np.unique(np.asarray(questions), return_inverse=True)[1]
    kinds = [kind for kind in CALIBRATORS if scores.size >= MANY or kind not in NEEDS_MANY]
    try:
        losses = _losses(kinds, scores, labels, groups, seed)
    except (CalibrationError, UsageError):
        return Choice(PREFERRED, {}, "too few rows to compare the kinds")
    means = {kind: float(loss.mean()) for kind, loss in losses.items()}
    best = min(means, key=means.__getitem__)
    if scores.size >= MANY:
        return Choice(best, means, "least cross-validated log loss")
    if best != PREFERRED and _gain_in_errors(losses[PREFERRED] - losses[best], groups) > 2.0:
        return Choice(best, means, f"log loss below {PREFERRED}'s by over two standard errors")
    return Choice(PREFERRED, means, f"the default below {MANY:,} labels: none is clearly better")


def _losses(
    kinds: Sequence[str], logits: Floats, correct: Bools, groups: ArrayLike, seed: int
) -> dict[str, Floats]:
    """Log loss of every row under calibrators that were fitted without its question."""
    losses = {kind: np.empty(logits.size) for kind in kinds}
    for fitted, held_out in folds_by_question(correct, groups, seed=seed):
        for kind in kinds:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # the final fit says it
                state = fit(kind, logits[fitted], correct[fitted])
            p = np.clip(apply(state, logits[held_out]), 1e-15, 1.0 - 1e-15)
            losses[kind][held_out] = -np.log(np.where(correct[held_out], p, 1.0 - p))
    return losses


def _gain_in_errors(gain: Floats, groups: ArrayLike) -> float:
    """Mean gain over its standard error, rows of a question summed first."""
    sums = np.bincount(np.asarray(groups), weights=gain - gain.mean())
    error = float(np.sqrt(np.sum(sums**2))) / gain.size
    return float(gain.mean()) / error if error > 0.0 else 0.0
