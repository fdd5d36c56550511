"""A layer over the confidences of agents' runs, from runs that are labelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.calibration.folds import folds_by_question
from ct_guard.errors import CalibrationError, InputError
from ct_guard.files import Rejected, Row, correct_of, open_rows
from ct_guard.metrics import auroc, ece, ece_noise_floor, log_loss
from ct_guard.runs import RUN_FEATURES, RunLayer, RunTurn, run_features
from ct_guard.store.layer import fit_logistic, layer_logits

__all__ = ["EACH", "ENOUGH", "MOST", "FittedRuns", "LabelledRun", "LabelledRuns", "fit_runs",
           "read_runs"]  # fmt: skip

ENOUGH, EACH = 30, 8
"""Labelled runs without which nothing is fitted, and of either outcome."""
MOST = 10 * len(RUN_FEATURES)
"""Runs of the rarer outcome with which a layer of so many features is no guess any more."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledRun:
    """The turns of a run, of which some have a score, and whether it succeeded."""

    turns: tuple[RunTurn, ...]
    correct: bool


@dataclass(frozen=True)
class LabelledRuns:
    """The runs of a file, and those that were passed over."""

    runs: tuple[LabelledRun, ...]
    unlabelled: int
    unscored: int


@dataclass(frozen=True)
class FittedRuns:
    """A layer, and what it is worth at the end of runs that were held out."""

    layer: RunLayer
    auroc: float | None
    auroc_least: float | None
    """Of the least confidence of a run alone."""
    ece: float
    ece_floor: float
    """What a perfectly calibrated layer would show on so many runs."""


def read_runs(path: str | Path) -> LabelledRuns:
    """The rows of a file, each what `state["ct_guard_run"]` holds, with `correct`.

    Raises InputError for one that is not so, naming file, row and field, and for a file without a
    single run that has a label and a score.
    """
    runs: list[LabelledRun] = []
    unlabelled = unscored = 0
    for row in open_rows(path, needs=(("turns",), ("correct",))):
        label = correct_of(row)
        if isinstance(label, Rejected):
            raise InputError(label.message)
        turns = _turns(row)
        if label is None:
            unlabelled += 1
        elif run_features(turns) is None:
            unscored += 1
        else:
            runs.append(LabelledRun(turns, label))
    if not runs:
        raise InputError(
            f"{path}: no run has both a label (`correct`) and a score in its `turns`"
            f" ({unlabelled:,} without a label, {unscored:,} without a score): write down"
            " state['ct_guard_run'] of each run, and whether it succeeded"
        )
    return LabelledRuns(tuple(runs), unlabelled, unscored)


def fit_runs(runs: Sequence[LabelledRun], *, seed: int = 0) -> FittedRuns:
    """Fit the layer on every beginning of every run: it is read after each turn, and P(success) is
    to hold there, too. Each beginning counts as one: weighed by the length of its run, it would
    tell of what was still to come.

    Raises CalibrationError for runs that are too few or of one outcome only, which says how many
    would do.
    """
    _check([run.correct for run in runs])
    beginnings = [
        (at, features, last)
        for at, run in enumerate(runs)
        for features, last in _beginnings(run.turns)
    ]
    number = np.array([at for at, _, _ in beginnings])
    features = np.array([found for _, found, _ in beginnings])
    whole = np.array([last for _, _, last in beginnings])
    correct = np.array([runs[at].correct for at in number])
    held = np.empty(len(number))
    for fit, rest in folds_by_question(correct, number, seed=seed):
        part = fit_logistic(RUN_FEATURES, features[fit], correct[fit])
        held[rest] = layer_logits(part, features[rest])
    p, ended = expit(held[whole]), correct[whole]
    layer = RunLayer(
        layer=fit_logistic(RUN_FEATURES, features, correct),
        n=len(runs),
        succeeded=int(ended.sum()),
        log_loss=log_loss(p, ended),
        base_rate=log_loss(np.full(len(ended), ended.mean()), ended),
    )
    least = expit(features[whole, RUN_FEATURES.index("least")])
    return FittedRuns(
        layer=layer,
        auroc=auroc(p, ended),
        auroc_least=auroc(least, ended),
        ece=ece(p, ended),
        ece_floor=ece_noise_floor(p, seed=seed),
    )


def _beginnings(turns: Sequence[RunTurn]) -> list[tuple[tuple[float, ...], bool]]:
    """What is read of each beginning that has a score, and whether it is the whole run."""
    found = [run_features(turns[:end]) for end in range(1, len(turns) + 1)]
    return [(one, at == len(found) - 1) for at, one in enumerate(found) if one is not None]


def _check(labels: Sequence[bool]) -> None:
    succeeded = sum(labels)
    failed = len(labels) - succeeded
    if len(labels) < ENOUGH or min(succeeded, failed) < EACH:
        raise CalibrationError(
            f"{len(labels):,} labelled runs ({succeeded:,} succeeded, {failed:,} failed) are too"
            f" few: at least {ENOUGH} with {EACH} of either outcome are needed, and"
            f" {MOST} of either are enough for a layer that is no guess"
        )


def _turns(row: Row) -> tuple[RunTurn, ...]:
    if row.error is not None:
        raise InputError(row.error)
    found = row.fields.get("turns")
    if not isinstance(found, list):
        raise InputError(f"{row.where}: field 'turns' must be a list of turns")
    turns = []
    for at, turn in enumerate(found):
        try:
            turns.append(RunTurn.model_validate(turn))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, ("turns", at, *first["loc"])))
            raise InputError(f"{row.where}: field {field!r}: {first['msg']}") from error
    return tuple(turns)
