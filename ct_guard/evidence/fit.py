"""From graded answers to evidence that is fitted: states, a layer, and what each evidence adds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.calibration.folds import folds_by_question
from ct_guard.errors import CalibrationError
from ct_guard.metrics import auroc, log_loss
from ct_guard.records import Record

from .answers import Answers
from .kinds import Evidence, kinds_named, place_of, state_of
from .layer import FITS, OF_TREES, Layer, logits_of

__all__ = ["LEAK", "Fitted", "Found", "features_of", "fit_evidence", "read_logits"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAK = 0.995
"""AUROC of one number above which it is taken for the label itself."""
TREES_FROM = 200
"""Graded rows from which trees take part."""


class Fitted(Record):
    """All that turns answers into logits, as plain data."""

    schema_version: Literal[2] = 2
    evidence: tuple[str, ...]
    """Names of the kinds, in the order of the layer's features."""
    states: dict[str, dict[str, Any]]
    """What each kind learnt, by name."""
    layer: Layer

    @model_validator(mode="after")
    def _layer_reads_it(self) -> "Fitted":
        read = tuple(name for kind in kinds_named(self.evidence) for name in kind.features)
        if self.layer.features != read:
            raise ValueError("the layer reads other features than those of the evidence")
        return self

    @cached_property
    def learnt(self) -> dict[str, Record]:
        """The states as what they are. Raises pydantic's ValidationError for one that is not."""
        return {name: state_of(name).model_validate(self.states[name]) for name in self.evidence}


@dataclass(frozen=True)
class Found:
    """A fit, with what was seen on questions that were held out."""

    fitted: Fitted
    kind: str
    log_loss: dict[str, float]
    """Of each kind of layer, cross-validated, in nats."""
    alone: dict[str, float]
    """Log loss with this evidence only."""
    without: dict[str, float]
    """Log loss with all evidence but this: how much above the chosen layer's is what leaving it out
    would cost."""
    base_rate: float
    """Log loss of the share of right answers."""
    logits: Floats
    """Of each row, by layers that did not see its question, shape (n,)."""
    remarks: tuple[str, ...] = ()


def fit_evidence(
    answers: Answers,
    correct: NDArray[np.bool_],
    names: Sequence[str],
    *,
    folds: int = 5,
    seed: int = 0,
    force: bool = False,
    explain: bool = True,
) -> Found:
    """Fit evidence on graded answers, all rows of a question in one fold.

    Every number that depends on grades (a model's accuracy, who is to be believed) is read from the
    other folds' rows, so that the layer learns from it as it will be for new questions.

    Args:
        answers: n answers.
        correct: boolean, shape (n,), with both classes.
        names: of evidence (`kinds.KINDS`, `column:NAME`, `group:NAME`).
        folds: of the cross-validation.
        seed: of the folds and the trees.
        force: take numbers that give away the label (AUROC above `LEAK`), too.
        explain: also find what each evidence adds, which takes a fit for each.

    Raises:
        UsageError: names that are none; too few questions, right or wrong answers.
        CalibrationError: evidence that no row has, that never varies, or that is the label.
        InputError: a column that is no number, naming the row.
    """
    kinds = kinds_named(names)
    looks = [kind.look(answers) for kind in kinds]
    splits = list(folds_by_question(correct, answers.question, folds=folds, seed=seed))
    features = _held_out_features(kinds, looks, correct, splits)
    columns = tuple(name for kind in kinds for name in kind.features)
    remarks = _check(kinds, features, correct, force=force)
    owner = np.array([at for at, kind in enumerate(kinds) for _ in kind.features])
    rivals = [kind for kind in FITS if kind not in OF_TREES or len(answers) >= TREES_FROM]
    held = {
        kind: _cross_fit(kind, columns, features, correct, splits, seed)
        for kind in rivals
        if kind != "both"
    }
    if "both" in rivals:
        held["both"] = (held["logistic"] + held["trees"]) / 2.0
    losses = {kind: log_loss(expit(logits), correct) for kind, logits in held.items()}
    chosen = min(losses, key=lambda kind: losses[kind])
    alone: dict[str, float] = {}
    without: dict[str, float] = {}
    for at, kind in enumerate(kinds if explain and len(kinds) > 1 else ()):
        for target, some in ((alone, owner == at), (without, owner != at)):
            used = tuple(name for name, one in zip(columns, some, strict=True) if one)
            logits = _cross_fit(chosen, used, features[:, some], correct, splits, seed)
            target[kind.name] = log_loss(expit(logits), correct)
    everything = np.ones(len(answers), np.bool_)
    states = {
        kind.name: kind.learn(look, correct, everything).model_dump(mode="json")
        for kind, look in zip(kinds, looks, strict=True)
    }
    layer = FITS[chosen](columns, features, correct, seed=seed)
    share = np.full(len(answers), correct.mean())
    return Found(
        fitted=Fitted(evidence=tuple(k.name for k in kinds), states=states, layer=layer),
        kind=chosen,
        log_loss=losses,
        alone=alone,
        without=without,
        base_rate=log_loss(share, correct),
        logits=held[chosen],
        remarks=remarks,
    )


def features_of(fitted: Fitted, answers: Answers) -> Floats:
    """The numbers that the layer reads, shape (n, features), NaN where a row lacks them."""
    kinds = kinds_named(fitted.evidence)
    return np.hstack([kind.read(kind.look(answers), fitted.learnt[kind.name]) for kind in kinds])


def read_logits(fitted: Fitted, answers: Answers) -> Floats:
    """Logit of P(correct) of each answer, shape (n,), before calibration."""
    return logits_of(fitted.layer, features_of(fitted, answers))


def _held_out_features(
    kinds: Sequence[Evidence],
    looks: Sequence[Any],
    correct: Bools,
    splits: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
) -> Floats:
    parts = []
    for kind, look in zip(kinds, looks, strict=True):
        part = np.empty((len(correct), len(kind.features)))
        for fit, held in splits:
            rows = np.zeros(len(correct), np.bool_)
            rows[fit] = True
            part[held] = kind.read(look, kind.learn(look, correct, rows))[held]
        parts.append(part)
    return np.hstack(parts)


def _cross_fit(
    kind: str,
    names: Sequence[str],
    features: Floats,
    correct: Bools,
    splits: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    seed: int,
) -> Floats:
    logits = np.empty(len(correct))
    for fit, held in splits:
        layer = FITS[kind](names, features[fit], correct[fit], seed=seed)
        logits[held] = logits_of(layer, features[held])
    return logits


def _check(
    kinds: Sequence[Evidence], features: Floats, correct: Bools, *, force: bool
) -> tuple[str, ...]:
    remarks = []
    at = 0
    for kind in kinds:
        part = features[:, at : at + len(kind.features)]
        at += len(kind.features)
        has = ~np.isnan(part)
        if not has.any():
            raise CalibrationError(
                f"no row has the evidence {kind.name}, which is read from {place_of(kind.name)}:"
                " add it, or leave it out of --evidence"
            )
        for values, known in zip(part.T, has.T, strict=True):
            if not known.any() or not _is_raw(kind):
                continue
            if np.ptp(values[known]) == 0 and known.all():
                raise CalibrationError(
                    f"{kind.name} is {values[known][0]:g} in every row, which says nothing: leave"
                    " it out of --evidence"
                )
            area = _area(values[known], correct[known])
            if area > LEAK and not force:
                raise CalibrationError(
                    f"{kind.name} tells right from wrong with an AUROC of {area:.4f}: it looks like"
                    " the grade itself; leave it out, or use --force if it is known before grading"
                )
            if area > LEAK:
                remarks.append(f"{kind.name} has an AUROC of {area:.4f}: taken as it was forced")
        gone = int((~has.any(1)).sum())
        if gone:
            remarks.append(f"{kind.name} is missing in {gone:,} of {len(has):,} rows")
    return tuple(dict.fromkeys(remarks))


def _is_raw(kind: Evidence) -> bool:
    return kind.name == "stated" or kind.name.startswith("column:")


def _area(values: Floats, correct: Bools) -> float:
    order = np.unique(values, return_inverse=True)[1]
    ranked = auroc(order / max(order.max(), 1), correct)
    return 0.5 if ranked is None else max(ranked, 1 - ranked)
