"""Graded fields of scored files: figures, calibrators by group, and a certified threshold."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ct_guard import risk
from ct_guard.certificates import Arithmetic
from ct_guard.errors import InputError
from ct_guard.estimators.fields import calibrated_fields
from ct_guard.fields import group_of, parse_path
from ct_guard.fields.rows import FIELDS, FIELDS_CORRECT, FIELDS_SCORER, by_path, with_text
from ct_guard.files import Rejected, Row, open_rows, question_answer
from ct_guard.metrics import Interval, auroc, ece, ece_noise_floor, log_loss, paired_bootstrap
from ct_guard.promises import FieldCertificate
from ct_guard.records import CalibratorState
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
    """How good the P of fields is, beside the whole answer's P as that of each of its fields."""

    fields: int
    answers: int
    accuracy: float
    auroc: float | None
    """None: not defined, with one class only; so are the next two."""
    whole_auroc: float | None
    gain: Interval | None
    """AUROC less that of the whole answer's P, on the same fields; resampled by question."""
    ece: float
    noise_floor: float
    """The ECE that perfectly calibrated P would show on as many fields."""
    whole_ece: float | None
    log_loss: float
    groups: Mapping[str, "FieldFigures"] = field(default_factory=dict)
    """The same within each group, without gains; where there are several."""


def field_figures(
    scored: Scored,
    states: Mapping[str, CalibratorState] | None = None,
    *,
    resamples: int = 0,
    seed: int = 0,
) -> FieldFigures:
    """Figures of fields under calibrators; None: of the P that they were scored with. Without
    `resamples` there is no interval."""
    p = scored.p if states is None else p_of_fields(scored, states)
    groups = np.array(scored.column(GROUP))
    every = _figures(scored, p, np.ones(len(p), np.bool_))
    names = sorted(set(groups.tolist()))
    inside = {name: _figures(scored, p, groups == name) for name in names if len(names) > 1}
    gain = _gain(scored, p, resamples, seed) if resamples else None
    return replace(every, gain=gain, groups=inside)


def _figures(scored: Scored, p: Floats, chosen: NDArray[np.bool_]) -> FieldFigures:
    correct, whole = scored.correct[chosen], _whole(scored)[chosen]
    p, known = p[chosen], np.isfinite(whole)
    return FieldFigures(
        fields=len(p),
        answers=len(set(np.array(scored.column(ANSWER))[chosen])),
        accuracy=float(correct.mean()),
        auroc=auroc(p, correct),
        whole_auroc=auroc(whole[known], correct[known]) if known.any() else None,
        gain=None,
        ece=float(ece(p, correct)),
        noise_floor=float(ece_noise_floor(p)),
        whole_ece=float(ece(whole[known], correct[known])) if known.any() else None,
        log_loss=float(log_loss(p, correct)),
    )


def _gain(scored: Scored, p: Floats, resamples: int, seed: int) -> Interval | None:
    whole = _whole(scored)
    known = np.isfinite(whole)
    if not known.any():
        return None
    return paired_bootstrap(
        auroc,
        p[known],
        whole[known],
        scored.correct[known],
        clusters=scored.question[known],
        n=resamples,
        seed=seed,
    )


def _whole(scored: Scored) -> Floats:
    """P of the answer that each field is of, shape (n,); NaN where it has none."""
    return np.array([_number(text) for text in scored.column(WHOLE)])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
