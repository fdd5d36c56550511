"""Fitted on some questions, measured on others."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from ct_guard.calibration import apply, choose, fit
from ct_guard.evidence import fit_evidence, read_logits
from ct_guard.metrics import auroc, ece, ece_noise_floor, log_loss, pair_accuracy, within_auroc

from .data import Data

__all__ = ["Figures", "figures", "mean_of", "probabilities"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """Of P(correct) on test rows; NaN where it is not defined."""

    auroc: float
    within: float
    """AUROC within each answering model's rows, averaged."""
    pairs: float
    """Right above wrong answers to the same question."""
    ece: float
    floor: float
    """ECE that perfect calibration would show."""
    log_loss: float


def probabilities(train: Data, test: Data, evidence: Sequence[str]) -> Floats:
    """P(correct) of `test` by evidence that is fitted and calibrated on `train`, shape (n,)."""
    found = fit_evidence(train.answers, train.correct, evidence, explain=False)
    kind = choose(found.logits, train.correct, train.answers.question).kind
    state = fit(kind, found.logits, train.correct)
    return apply(state, read_logits(found.fitted, test.answers))


def figures(p: Floats, test: Data) -> Figures:
    within = within_auroc(p, test.correct, test.models)
    pairs = pair_accuracy(p, test.correct, test.answers.question).value
    area = auroc(p, test.correct)
    return Figures(
        *(np.nan if value is None else float(value) for value in (area, within, pairs)),
        ece=ece(p, test.correct),
        floor=ece_noise_floor(p, draws=50),
        log_loss=log_loss(p, test.correct),
    )


def mean_of(some: Sequence[Figures]) -> Figures:
    return Figures(*np.nanmean([astuple(one) for one in some], axis=0).tolist())
