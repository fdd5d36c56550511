"""Graded fields of scored files: figures, calibrators by group, and a certified threshold."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ct_guard import risk
from ct_guard.errors import InputError
from ct_guard.estimators.fields import calibrated_fields
from ct_guard.fields import group_of, parse_path
from ct_guard.fields.rows import FIELDS, FIELDS_CORRECT, FIELDS_SCORER, by_path, with_text
from ct_guard.files import Rejected, Row, open_rows, question_answer
from ct_guard.metrics import auroc, ece, log_loss
from ct_guard.promises import FieldCertificate
from ct_guard.records import Arithmetic, CalibratorState
from ct_guard.store import Manifest, set_hash

from .calibrate import Calibration, calibrate
from .certify import arithmetic_of as common_arithmetic
from .scored import Scored, ScoredRow, arithmetic_of

__all__ = [
    "FieldFigures",
    "calibrate_fields",
    "certify_fields",
    "field_figures",
    "p_of_fields",
    "read_fields",
]

Floats = NDArray[np.float64]

GROUP, WHOLE, ANSWER = "field", "confidence", "answer"
"""Columns of what `read_fields` returns: the group, the P of the whole answer, and its number."""


def read_fields(path: str | Path, *, where: Mapping[str, str] | None = None) -> Scored:
    """The fields of a scored file that have a logit and a grade (`fields_correct`), as the rows of
    a `Scored`: `question` numbers what was asked, the column `field` is the group, `confidence` the
    P of the whole answer.

    Raises InputError where the file has no such fields; names file, line and field.
    """
    found = _Found(str(path))
    for row in open_rows(path):
        if row.error is not None:
            raise InputError(f"{row.error}: correct or remove the row")
        if all(str(row.fields.get(name)) == value for name, value in (where or {}).items()):
            found.add(with_text(row, "answer"))
    return found.scored()


class _Found:
    def __init__(self, path: str) -> None:
        self.path = path
        self.rows: list[ScoredRow] = []
        self.keys: dict[str, int] = {}
        self.asked: list[str] = []
        self.scorers: dict[str, None] = {}
        self.arithmetics: dict[str, Arithmetic] = {}
        self.statuses: Counter[str] = Counter()
        self.answers = self.ungraded = 0

    def add(self, row: Row) -> None:
        told, grades = by_path(row, FIELDS), by_path(row, FIELDS_CORRECT)
        if told is None:
            return
        item = question_answer(row)
        if isinstance(item, Rejected):
            raise InputError(f"{item.message}: correct or remove the row")
        self.answers += 1
        if row.fields.get(FIELDS_SCORER):
            self.scorers.setdefault(str(row.fields[FIELDS_SCORER]))
        if (computed := arithmetic_of(row)) is not None:
            self.arithmetics.setdefault(repr(computed), computed)
        number = self.keys.setdefault(item.question_key(), len(self.keys))
        if number == len(self.asked):
            self.asked.append(item.asked())
        whole = str(row.fields.get(WHOLE))
        for path, one in told.items():
            place = f"{row.where}: field '{FIELDS}', {path}"
            if not isinstance(one, Mapping) or not isinstance(one.get("logit"), int | float):
                self.statuses["unscored"] += 1
                continue
            self.statuses["ok"] += 1
            right = (grades or {}).get(path)
            if not isinstance(right, bool):
                self.ungraded += 1
                continue
            self.rows.append(
                ScoredRow(
                    p=float(one["p"]),
                    logit=float(one["logit"]),
                    correct=right,
                    question=number,
                    answer=item.answer,
                    id=item.id,
                    model=None,
                    where=place,
                    values=(group_of(parse_path(path)), whole, str(self.answers)),
                )
            )

    def scored(self) -> Scored:
        if not self.rows:
            raise InputError(
                f"{self.path}: no field has both a logit and a grade: score it with 'ct-guard score"
                " --fields', and grade it with 'ct-guard grade --fields' before"
            )
        return Scored(
            path=self.path,
            estimators=(),
            scorers=tuple(self.scorers),
            arithmetics=tuple(self.arithmetics.values()),
            graded=tuple(self.rows),
            keys=tuple(self.keys),
            asked=tuple(self.asked),
            kept=(GROUP, WHOLE, ANSWER),
            rows=self.answers,
            statuses=self.statuses,
            ungraded=self.ungraded,
        )


def calibrate_fields(
    scored: Scored, *, kind: str | None = None, min_labels: int = 100, seed: int = 0
) -> Calibration:
    """Calibrators of fields: `"*"` of all, and one for each group with at least `min_labels` labels
    of both kinds, where the file has several groups. Raises CalibrationError as `calibrate`."""
    groups = scored.column(GROUP)
    named = replace(
        scored,
        graded=tuple(
            row._replace(model=group) for row, group in zip(scored.graded, groups, strict=True)
        ),
    )
    return calibrate(named, kind=kind, min_labels=min_labels, seed=seed)


def p_of_fields(scored: Scored, states: Mapping[str, CalibratorState]) -> Floats:
    """P of each field, shape (n,), from its logit."""
    return calibrated_fields(states, scored.logit, scored.column(GROUP))[0]


def certify_fields(
    scored: Scored,
    manifest: Manifest,
    *,
    alpha: float,
    delta: float,
    grader_false_pass: float = 0.0,
) -> FieldCertificate:
    """A threshold on the P of fields, see `risk.certify_fields`; rows of one answer a question.

    Raises InputError where a question has several answers: these go together.
    """
    answers = scored.column(ANSWER)
    if len(set(answers)) > len({row.question for row in scored.graded}):
        raise InputError(
            f"{scored.path}: a question has several answers, and answers to certify on must be"
            " independent; choose one by `where` sample=0"
        )
    states = {} if manifest.fields is None else manifest.fields.calibrators
    found = risk.certify_fields(
        p_of_fields(scored, states),
        scored.correct,
        scored.question,
        alpha=risk.graded_alpha(alpha, grader_false_pass),
        delta=delta,
        split_hash=set_hash(scored.question_keys()),
    )
    update = {
        "alpha": alpha,
        "grader_false_pass": grader_false_pass,
        "arithmetic": common_arithmetic(scored),
    }
    return found.model_copy(update=update)


@dataclass(frozen=True)
class FieldFigures:
    """How good the P of fields is; None: not defined, with one class only."""

    fields: int
    answers: int
    accuracy: float
    auroc: float | None
    whole_auroc: float | None
    """Of the answer's own P, as the P of each of its fields."""
    ece: float
    log_loss: float
    groups: Mapping[str, float | None]
    """AUROC within each group."""


def field_figures(
    scored: Scored, states: Mapping[str, CalibratorState] | None = None
) -> FieldFigures:
    """Figures of fields under calibrators; None: of the P that they were scored with."""
    p, correct = scored.p if states is None else p_of_fields(scored, states), scored.correct
    groups = np.array(scored.column(GROUP))
    whole = np.array([_number(text) for text in scored.column(WHOLE)])
    known = np.isfinite(whole)
    return FieldFigures(
        fields=len(scored),
        answers=len(set(scored.column(ANSWER))),
        accuracy=float(correct.mean()),
        auroc=auroc(p, correct),
        whole_auroc=auroc(whole[known], correct[known]) if known.any() else None,
        ece=float(ece(p, correct)),
        log_loss=float(log_loss(p, correct)),
        groups={
            name: auroc(p[groups == name], correct[groups == name]) for name in sorted(set(groups))
        },
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
