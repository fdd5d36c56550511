"""Calibration within groups: how far they are shrunk, and each group's ECE before and after."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ct_guard.calibration import fit
from ct_guard.calibration.folds import folds_by_question
from ct_guard.calibration.groups import EDGE, Within, apply_groups, fit_groups
from ct_guard.errors import CalibrationError, InputError
from ct_guard.metrics import ece, ece_noise_floor, log_loss
from ct_guard.records import CalibratorState, GroupCorrections
from ct_guard.store.calibrated import Fitted, p_correct

__all__ = ["FEW", "PENALTIES", "Answered", "GroupFigures", "Grouped", "calibrate_groups"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Precisions of the prior that compete; against none of them, no group is corrected."""
FEW = 30
"""Rows below which a group's ECE is noise, and not shown."""


@dataclass(frozen=True)
class Answered:
    """Rows to calibrate on, arrays of shape (n,)."""

    logits: Floats
    """Raw scores; in estimators that weigh evidence, of layers that did not see the question."""
    correct: Bools
    question: NDArray[np.int64]
    """Rows that share a number answer one question."""
    model: list[str | None]

    def take(self, at: NDArray[np.intp]) -> "Answered":
        models = [self.model[int(place)] for place in at]
        return Answered(self.logits[at], self.correct[at], self.question[at], models)


@dataclass(frozen=True)
class GroupFigures:
    """One group, on questions that were held out."""

    column: str
    value: str
    rows: int
    before: float
    """ECE of the calibrators alone."""
    floor_before: float
    """ECE that noise alone would show there."""
    after: float
    """ECE with the group's correction."""
    floor_after: float


@dataclass(frozen=True)
class Grouped:
    """Corrections, and what they are worth on questions that were held out."""

    corrections: tuple[GroupCorrections, ...]
    """None where they do not help."""
    penalty: float | None
    before: float
    """Log loss of the calibrators alone, in nats."""
    after: float
    figures: tuple[GroupFigures, ...]
    """Of the groups with at least `FEW` rows, those with most rows first."""

    @property
    def worst(self) -> tuple[float, float]:
        """Highest ECE of these groups, before and after; 0 where there are none."""
        return (
            max((one.before for one in self.figures), default=0.0),
            max((one.after for one in self.figures), default=0.0),
        )


def calibrate_groups(
    rows: Answered, within: Within, calibrators: Mapping[str, CalibratorState], *, seed: int = 0
) -> Grouped:
    """Correct P(correct) within groups where that lowers the cross-validated log loss.

    In every fold, calibrators of the same kinds are fitted anew, and the corrections on what they
    give: nothing that judges a question has seen it.

    Args:
        rows: n rows.
        within: the groups that they are in, by column.
        calibrators: by answering model, as fitted on these rows.
        seed: of the folds.

    Raises:
        InputError: a column that no row has, or that has another value in almost every row.
        UsageError: too few questions, right or wrong answers.
    """
    _check(within)
    n = len(rows.correct)
    splits = list(folds_by_question(rows.correct, rows.question, seed=seed))
    before = np.empty(n)
    held: dict[float, Floats] = {penalty: np.empty(n) for penalty in PENALTIES}
    for fitted, held_out in splits:
        states = _anew(calibrators, rows.take(fitted))
        p_fit, p_held = _p(states, rows.take(fitted)), _p(states, rows.take(held_out))
        before[held_out] = p_held
        inside, outside = _taken(within, fitted), _taken(within, held_out)
        for penalty in PENALTIES:
            found = fit_groups(p_fit, rows.correct[fitted], inside, penalty=penalty)
            held[penalty][held_out] = apply_groups(found, p_held, outside)
    losses = {penalty: log_loss(p, rows.correct) for penalty, p in held.items()}
    best = min(losses, key=losses.__getitem__)
    alone = log_loss(np.clip(before, EDGE, 1.0 - EDGE), rows.correct)  # as corrections read it
    helps = losses[best] < alone
    after = held[best] if helps else before
    everything = _p(calibrators, rows)
    return Grouped(
        corrections=fit_groups(everything, rows.correct, within, penalty=best) if helps else (),
        penalty=best if helps else None,
        before=alone,
        after=losses[best] if helps else alone,
        figures=_figures(within, before, after, rows.correct),
    )


def _check(within: Within) -> None:
    for column, values in within.items():
        known = [value for value in values if value is not None]
        if not known:
            raise InputError(f"no row has a column '{column}' to calibrate within: check its name")
        if len(set(known)) > len(known) / 2:
            raise InputError(
                f"the column '{column}' has {len(set(known)):,} values in {len(known):,} rows: a"
                " group needs rows; give a column such as a domain, a language or a tenant"
            )


def _anew(calibrators: Mapping[str, CalibratorState], rows: Answered) -> dict[str, CalibratorState]:
    """Calibrators of the same kinds, by other rows; none where these are too few."""
    made = {}
    for model, state in calibrators.items():
        mine = np.array([model in ("*", one) for one in rows.model], np.bool_)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the final fit says it
            try:
                made[model] = fit(state.kind, rows.logits[mine], rows.correct[mine])
            except CalibrationError:
                continue  # the common one serves the model in this fold
    return made


def _p(calibrators: Mapping[str, CalibratorState], rows: Answered) -> Floats:
    return p_correct(Fitted(calibrators), rows.logits, rows.model).p


def _taken(within: Within, at: NDArray[np.intp]) -> Within:
    return {column: [values[int(place)] for place in at] for column, values in within.items()}


def _figures(
    within: Within, before: Floats, after: Floats, correct: Bools
) -> tuple[GroupFigures, ...]:
    found = []
    for column, values in within.items():
        for value in sorted({one for one in values if one is not None}):
            at = np.array([one == value for one in values], np.bool_)
            if at.sum() >= FEW:
                found.append(
                    GroupFigures(
                        column=column,
                        value=value,
                        rows=int(at.sum()),
                        before=ece(before[at], correct[at]),
                        floor_before=ece_noise_floor(before[at]),
                        after=ece(after[at], correct[at]),
                        floor_after=ece_noise_floor(after[at]),
                    )
                )
    return tuple(sorted(found, key=lambda one: -one.rows))
