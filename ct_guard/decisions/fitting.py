"""Fit what graded decisions teach: a calibrator for each question and, on other rows, thresholds
that come with a promise."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy  # type: ignore[import-untyped]
from numpy.typing import NDArray
from scipy.special import logsumexp  # type: ignore[import-untyped]

from ct_guard.calibration import MIN_ROWS
from ct_guard.certificates import Certificate
from ct_guard.errors import CalibrationError
from ct_guard.risk import certify

from .calibration import ANY, DecisionCalibration, DecisionCalibrator
from .questions import Noul, labels_of, question_key
from .rows import GradedDecision

__all__ = ["Fitted", "fit_decisions"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FOLDS = 5
_SLOPE_PENALTY, _OFFSET_PENALTY = 0.01, 1.0
"""Of half the squares, against the log loss of all rows: the offset of a label that was never right
stays where about one row would leave it."""


@dataclass(frozen=True)
class Fitted:
    """A calibration of decisions, and what to know of how it came about."""

    calibration: DecisionCalibration
    remarks: tuple[str, ...]


def fit_decisions(
    rows: Sequence[GradedDecision],
    *,
    by: str,
    alpha: float | None = None,
    delta: float = 0.1,
    seed: int = 0,
) -> Fitted:
    """A calibrator for each question of the rows, which all have scores.

    With `alpha`, half of the states (by a hash with `seed`) certify instead of being fitted on: see
    `DecisionCalibrator.certificates`. Certificates count one row a state.

    Raises CalibrationError, which names the question, for fewer than `MIN_ROWS` rows or labels that
    are all the same.
    """
    by_question: dict[str, list[GradedDecision]] = {}
    for row in rows:
        by_question.setdefault(question_key(row.question), []).append(row)
    made, remarks = [], []
    for group in by_question.values():
        held = [alpha is not None and _certifies(row, seed) for row in group]
        fitted_on = [row for row, apart in zip(group, held, strict=True) if not apart]
        apart = [row for row, apart in zip(group, held, strict=True) if apart]
        one, said = _calibrator(fitted_on, seed)
        if alpha is not None:
            one = one.model_copy(update={"certificates": _certificates(one, apart, alpha, delta)})
        made.append(one)
        remarks += said
    return Fitted(DecisionCalibration(by=by, calibrators=tuple(made)), tuple(remarks))


def _certifies(row: GradedDecision, seed: int) -> bool:
    return hashlib.sha256(f"{seed}\x1f{row.state_key}".encode()).digest()[0] % 2 == 1


def _calibrator(rows: Sequence[GradedDecision], seed: int) -> tuple[DecisionCalibrator, list[str]]:
    name = rows[0].name if rows else "?"
    if len(rows) < MIN_ROWS:
        raise CalibrationError(
            f"question {name!r} has {len(rows)} graded rows to fit on, and at least {MIN_ROWS} are"
            " needed: grade more, or leave its rows out"
        )
    question = rows[0].question
    labels = labels_of(question)
    right = np.array([labels.index(row.label) for row in rows])
    if len(labels) > 1 and len(set(right.tolist())) == 1:
        raise CalibrationError(
            f"question {name!r}: all {len(rows)} rows to fit on have the label"
            f" {rows[0].label!r}: calibration needs at least two labels, grade more rows"
        )
    scores = _scores_of(rows, labels)
    slope, offsets = _fit(scores, right)
    said = []
    if slope == 0 and len(labels) > 1:
        said.append(
            f"question {name!r}: higher scores do not go with right labels, so that every state"
            " gets the shares of the graded labels: look whether labels are swapped"
        )
    if never := [label for at, label in enumerate(labels) if at not in set(right.tolist())]:
        said.append(
            f"question {name!r}: no graded row is {', '.join(never)[:200]}: what is said of"
            " it rests on the others"
        )
    return (
        DecisionCalibrator(
            name=name,
            question=question,
            slope=slope,
            offsets=dict(zip(labels, offsets, strict=True)),
            n=len(rows),
            log_loss=_held_out(scores, right, [row.state_key for row in rows], seed),
        ),
        said,
    )


def _scores_of(rows: Sequence[GradedDecision], labels: Sequence[str]) -> Floats:
    return np.array([[(row.scores or {})[label] for label in labels] for row in rows], np.float64)


def _fit(scores: Floats, right: Ints) -> tuple[float, list[float]]:
    """Penalised maximum likelihood (slope >= 0, offsets that sum to 0) of scores, shape (n, K), and
    the numbers of the right labels, shape (n,). Convex; of every row a share of
    2 / (n + 2) is spread over all labels, so that where scores separate the labels no more is
    claimed than n rows show.

    Source: Guo et al. 2017, "On calibration of modern neural networks", vector scaling, here with
    one slope for all labels; Platt 1999 for the smoothed targets, which these are with K = 2.
    """
    centred = scores - scores.mean(axis=1, keepdims=True)
    scale = float(np.sqrt(np.mean(centred**2))) or 1.0
    unit, (n, count) = centred / scale, scores.shape
    smoothing = 2.0 / (n + 2.0)
    target = np.full((n, count), smoothing / count)
    target[np.arange(n), right] += 1.0 - smoothing

    def loss(params: Floats) -> tuple[float, Floats]:
        slope, offsets = params[0], params[1:]
        z = slope * unit + offsets
        log_p = z - logsumexp(z, axis=1, keepdims=True)
        wrong = np.exp(log_p) - target
        penalty = _SLOPE_PENALTY * slope**2 + _OFFSET_PENALTY * float(offsets @ offsets)
        gradient = np.concatenate(
            (
                [float((wrong * unit).sum()) + _SLOPE_PENALTY * slope],
                wrong.sum(axis=0) + _OFFSET_PENALTY * offsets,
            )
        )
        return float(-(target * log_p).sum() + penalty / 2), gradient

    start = np.zeros(1 + count)
    start[0] = scale
    bounds = [(0.0, None), *[(None, None)] * count]
    found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    if not np.isfinite(found.x).all():
        raise CalibrationError("the fit did not converge: look for outliers among the scores")
    return float(found.x[0]) / scale, (found.x[1:] - found.x[1:].mean()).tolist()


def _held_out(
    scores: Floats, right: Ints, states: Sequence[str], seed: int
) -> dict[Literal["before", "after"], float]:
    """Log loss of rows by calibrators that were fitted without their states."""
    groups = np.unique(np.array(states), return_inverse=True)[1]
    count = int(groups.max()) + 1
    if count < 2 * FOLDS:
        return {}
    fold = np.random.default_rng(seed).permutation(count)[groups] % FOLDS
    losses = np.zeros(len(right))
    for number in range(FOLDS):
        out = fold == number
        slope, offsets = _fit(scores[~out], right[~out])
        losses[out] = _losses(slope * scores[out] + np.array(offsets), right[out])
    return {"before": float(_losses(scores, right).mean()), "after": float(losses.mean())}


def _losses(z: Floats, right: Ints) -> Floats:
    found: Floats = logsumexp(z, axis=1) - z[np.arange(len(right)), right]
    return found


def _certificates(
    calibrator: DecisionCalibrator,
    rows: Sequence[GradedDecision],
    alpha: float,
    delta: float,
) -> dict[str, Certificate]:
    first = {row.state_key: row for row in reversed(rows)}
    if not first:
        raise CalibrationError(
            f"question {calibrator.name!r} has no rows to certify on: grade more"
        )
    kept = list(first.values())
    made = [calibrator.probabilities(row.scores or {}) for row in kept]
    split = hashlib.sha256("\x1d".join(sorted(first)).encode()).hexdigest()[:16]

    def certified(p: list[float], correct: list[bool]) -> Certificate:
        return certify(p, correct, alpha=alpha, delta=delta, split_hash=split)

    if isinstance(calibrator.question, Noul):
        return {
            label: certified([one[label] for one in made], [row.label == label for row in kept])
            for label in labels_of(calibrator.question)
        }
    likeliest = [max(one, key=one.__getitem__) for one in made]
    return {
        ANY: certified(
            [one[label] for one, label in zip(made, likeliest, strict=True)],
            [row.label == label for row, label in zip(kept, likeliest, strict=True)],
        )
    }
