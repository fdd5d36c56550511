"""Fitted on some questions, measured on others."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from ct_guard.calibration import apply, choose, fit
from ct_guard.evidence import fit_evidence, read_logits
from ct_guard.evidence.kinds import kinds_named
from ct_guard.evidence.layer import fit_filled, logits_of
from ct_guard.metrics import auroc, ece, ece_noise_floor, log_loss, pair_accuracy, within_auroc

from .data import Data

__all__ = [
    "Figures",
    "calibrated",
    "figures",
    "floor_by_question",
    "mean_of",
    "probabilities",
    "quick_probabilities",
]

Floats = NDArray[np.float64]

DRAWS = 50


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
    """ECE that perfect calibration would show if every row were drawn on its own."""
    floor_by_question: float
    """The same if rows of a question are right and wrong together as they are."""
    log_loss: float


def probabilities(train: Data, test: Data, evidence: Sequence[str]) -> Floats:
    """P(correct) of `test` by evidence that is fitted and calibrated on `train`, shape (n,)."""
    found = fit_evidence(train.answers, train.correct, evidence, explain=False)
    return calibrated(found.logits, train, read_logits(found.fitted, test.answers))


def quick_probabilities(train: Data, test: Data, evidence: Sequence[str]) -> Floats:
    """As `probabilities`, by a logistic layer and Platt's calibrator, a hundredth of the time."""
    kinds = kinds_named(evidence)
    names = tuple(name for kind in kinds for name in kind.features)
    everything = np.ones(len(train.correct), np.bool_)
    states = [kind.learn(kind.look(train.answers), train.correct, everything) for kind in kinds]

    def numbers(rows: Data) -> Floats:
        read = zip(kinds, states, strict=True)
        return np.hstack([kind.read(kind.look(rows.answers), state) for kind, state in read])

    known = numbers(train)
    layer = fit_filled(names, known, train.correct)
    calibrator = fit("platt", logits_of(layer, known), train.correct)
    return apply(calibrator, logits_of(layer, numbers(test)))


def calibrated(logits: Floats, train: Data, of: Floats) -> Floats:
    """P(correct) of the logits `of`, by the calibrator that cross-validation on `train` chooses."""
    kind = choose(logits, train.correct, train.answers.question).kind
    return apply(fit(kind, logits, train.correct), of)


def figures(p: Floats, test: Data) -> Figures:
    within = within_auroc(p, test.correct, test.models)
    pairs = pair_accuracy(p, test.correct, test.answers.question).value
    area = auroc(p, test.correct)
    ranks = tuple(np.nan if value is None else float(value) for value in (area, within, pairs))
    return Figures(
        auroc=ranks[0],
        within=ranks[1],
        pairs=ranks[2],
        ece=ece(p, test.correct),
        floor=ece_noise_floor(p, draws=DRAWS),
        floor_by_question=floor_by_question(p, test.correct, test.answers.question),
        log_loss=log_loss(p, test.correct),
    )


def floor_by_question(
    p: Floats, correct: NDArray[np.bool_], question: NDArray[np.int64], *, bins: int = 10
) -> float:
    """Mean ECE under calibration, with all errors of a question taken together: what is left of a
    row, correct - p, keeps or changes its sign with the whole question (a wild cluster bootstrap:
    Cameron, Gelbach & Miller 2008). Never below what chance gives, and high by what miscalibration
    there is."""
    code = np.unique(question, return_inverse=True)[1]
    place = np.minimum((p * bins).astype(int), bins - 1)
    rest = correct - p
    random = np.random.default_rng(0)
    found = []
    for _ in range(DRAWS):
        sign = random.choice((-1.0, 1.0), code.max() + 1)[code]
        found.append(np.abs(np.bincount(place, rest * sign, bins)).sum() / len(p))
    return float(np.mean(found))


def mean_of(some: Sequence[Figures]) -> Figures:
    return Figures(*np.nanmean([astuple(one) for one in some], axis=0).tolist())
