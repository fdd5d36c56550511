"""From rows to the columns that scoring adds: taken apart, scored, decided on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ct_guard.certificates import Arithmetic
from ct_guard.errors import BackendError, CtGuardError, InputError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.evidence import read_column
from ct_guard.fields.rows import FIELDS, FIELDS_SCORER, fields_column, with_text
from ct_guard.files import Rejected, Row, Shape, question_answer
from ct_guard.guard import Guard
from ct_guard.records import Confidence, Decision, QuestionAnswer

from .earlier import earlier_confidence, earlier_result, is_kept

__all__ = [
    "EVIDENCE_MISSING",
    "KEPT",
    "RESULTS",
    "WITHIN_NOISE",
    "About",
    "Result",
    "Terms",
    "about",
    "assess",
    "check_columns_of_rows",
    "is_read",
    "shape_settings",
]

RESULTS: dict[str, type] = {
    "confidence": float,
    "logit": float,
    "action": str,
    "status": str,
    "calibrated": bool,
    "truncated": bool,
    "sanitized": bool,
    "cut_off": bool,
    "ood": float,
    "read_apart": bool,
    "estimator": str,
    "scorer": str,
    "backend": str,
    "format": str,
    "noise": float,
    "error": str,
}
"""Columns added to every row. `logit` is the raw score: calibration, certification and evaluation
read it and never need the model again; `scorer` says what it follows from (`Manifest.scorer`), and
`backend`, `format` and `noise` what it was computed in (`Arithmetic`)."""

EVIDENCE_MISSING = "evidence_missing"
"""Further column where evidence is read: what of it a row lacks."""

WITHIN_NOISE = "within_noise"
KEPT = "kept"
"""No columns, but noted beside them in the journal: that the noise of the number format alone
decides, and that a score is an earlier run's."""

Result = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """How rows are assessed, beside the guard."""

    strict: bool = False
    """Whether rows are refused that lack evidence which the estimator was fitted on."""
    only_failed: bool = False
    """Whether rows that have a confidence by this very scorer keep it."""


@dataclass(frozen=True)
class About:
    """What a run must know of a guard before it scores: the guard may live elsewhere."""

    estimator: str
    scorer: str
    policy: str
    arithmetic: Arithmetic
    columns: dict[str, type]
    """That are added."""
    settings: dict[str, Any]
    """JSON values: whatever changes the result of a row."""
    reads_together: bool
    """Whether an answer's score depends on the others to its question."""
    remarks: tuple[str, ...] = ()


def about(guard: Guard, terms: Terms, remarks: Sequence[str] = ()) -> About:
    """What is true of a guard and of how rows are assessed."""
    estimator = guard.estimator
    computed = estimator.arithmetic
    return About(
        estimator=estimator.name,
        scorer=estimator.manifest.scorer,
        policy=guard.policy.name,
        arithmetic=computed,
        columns=_columns(guard),
        settings={
            "strict": terms.strict or None,
            "scorer": estimator.manifest.scorer,
            "estimator": estimator.fingerprint,
            "backend": computed.backend,
            "dtype": computed.format,
            "refusals": estimator.refusals,
            "policy": repr(guard.policy),
            "on_error": guard.on_error,
            **({"only_failed": True} if terms.only_failed else {}),
            **({"readings": list(estimator.readable)} if estimator.readable else {}),
        },
        reads_together=estimator.reads_together,
        remarks=tuple(remarks),
    )


def _columns(guard: Guard) -> dict[str, type]:
    estimator = guard.estimator
    named: dict[str, type] = {read_column(name): float for name in estimator.readable}
    fitted = estimator.manifest.evidence is not None
    told: dict[str, type] = {} if guard.fields is None else {FIELDS: str, FIELDS_SCORER: str}
    return {**RESULTS, **named, **({EVIDENCE_MISSING: str} if fitted else {}), **told}


def shape_settings(shape: Shape | None) -> dict[str, Any]:
    return {"shape": None if shape is None else repr(shape)}


def check_columns_of_rows(evidence: Sequence[str]) -> None:
    """Raises UsageError where `column:NAME` or `group:NAME` is one that scoring writes: of a scored
    file it would be learnt, and of another it would be read."""
    for name in evidence:
        if name.startswith(("column:", "group:")) and name.partition(":")[2] in RESULTS:
            raise UsageError(
                f"the evidence {name} is a column that scoring writes: give yours another name"
            )


def is_read(result: Result) -> bool:
    """Whether a model may have worked on a row."""
    return result["status"] in ("ok", "error") and KEPT not in result


def assess(guard: Guard, rows: Sequence[Row], terms: Terms) -> list[Result]:
    """The results of rows that are scored together, in order.

    A row that cannot be read gets a status and a message. Raises InputError, with `only_failed`,
    for a row whose confidence another scorer gave it.
    """
    if not terms.only_failed:
        return _assessed(guard, rows, terms)
    kept = [_earlier(guard, row) if is_kept(row) else None for row in rows]
    left = [row for row, earlier in zip(rows, kept, strict=True) if earlier is None]
    made = iter(_assessed(guard, left, terms))
    return [next(made) if earlier is None else earlier for earlier in kept]


def _assessed(guard: Guard, rows: Sequence[Row], terms: Terms) -> list[Result]:
    estimator = guard.estimator
    columns = estimator.columns
    if guard.fields is not None:
        rows = [with_text(row, "answer") for row in rows]
    parsed = [question_answer(row, columns) for row in rows]
    items = [item for item in parsed if isinstance(item, QuestionAnswer)]
    scored = iter(_scored(guard, items, strict=terms.strict))
    confidences = [
        estimator.unscored(item.status, item.message)
        if isinstance(item, Rejected)
        else next(scored)
        for item in parsed
    ]
    decided = list(zip(confidences, guard.decide_each(confidences), strict=True))
    origin = {
        "scorer": estimator.manifest.scorer,
        "format": estimator.arithmetic.format,
        "noise": estimator.arithmetic.noise,
    }
    if guard.fields is not None:
        origin[FIELDS_SCORER] = estimator.manifest.field_scorer
    results = [_result(confidence, decision, origin) for confidence, decision in decided]
    if origin["noise"]:  # else the question is not worth its time
        _mark_within_noise(estimator, parsed, decided, results)
    return results


def _earlier(guard: Guard, row: Row) -> Result:
    scorer = guard.estimator.manifest.scorer
    if row.fields.get("scorer") != scorer:
        raise InputError(
            f"{row.where}: field 'scorer' is not this estimator's ({scorer}): its score cannot"
            " stand beside those that are made now; score the whole file again"
        )
    result = earlier_result(row, _columns(guard))
    return {**result, "action": guard.decide(earlier_confidence(result)).action, KEPT: True}


def _mark_within_noise(
    estimator: Estimator,
    parsed: Sequence[QuestionAnswer | Rejected],
    decided: Sequence[tuple[Confidence, Decision]],
    results: Sequence[Result],
) -> None:
    for item, (confidence, decision), result in zip(parsed, decided, results, strict=True):
        at = decision.threshold
        if at is None or isinstance(item, Rejected):
            continue
        if estimator.is_within_noise(confidence, item, at):
            result[WITHIN_NOISE] = True


def _scored(guard: Guard, items: list[QuestionAnswer], *, strict: bool) -> list[Confidence]:
    """As `Guard.score`, on this thread: another one could still be computing when an interrupt ends
    the process."""
    try:
        scored = guard.estimator.score(guard.asking(items)) if items else []
        if len(scored) != len(items):
            raise BackendError(
                f"the estimator returned {len(scored)} scores for {len(items)} answers"
            )
    except Exception as error:
        if guard.on_error == "raise":
            raise
        said = str(error) if isinstance(error, CtGuardError) else repr(error)
        scored = [guard.estimator.unscored("error", " ".join(said.split()))] * len(items)
    return [_complete(guard, one) for one in scored] if strict else scored


def _complete(guard: Guard, confidence: Confidence) -> Confidence:
    """The confidence, or none where the row lacks evidence."""
    lacks = ", ".join(_lacking(confidence))
    if not lacks:
        return confidence
    error = f"the row lacks {lacks}, which {guard.estimator.name} was fitted on: add it"
    refused = guard.estimator.unscored("invalid", error)
    return refused.model_copy(update={"evidence": confidence.evidence})


def _lacking(confidence: Confidence) -> list[str]:
    return [name for name, use in (confidence.evidence or {}).items() if use == "missing"]


def _result(confidence: Confidence, decision: Decision, origin: dict[str, Any]) -> Result:
    fields: Result = {
        "confidence": confidence.p,
        "logit": confidence.logit,
        "action": decision.action,
        "status": confidence.status,
        "calibrated": confidence.calibrated,
        "truncated": confidence.truncated,
        "sanitized": confidence.sanitized,
        "cut_off": confidence.cut_off,
        "ood": confidence.ood,
        "read_apart": confidence.read_apart,
        "estimator": confidence.estimator,
        "scorer": origin["scorer"],
        "backend": confidence.backend,
        "format": origin["format"],
        "noise": origin["noise"],
        "error": confidence.error,
    }
    if FIELDS_SCORER in origin:
        fields[FIELDS] = fields_column(confidence, decision)
        fields[FIELDS_SCORER] = origin[FIELDS_SCORER]
    for name, value in (confidence.readings or {}).items():
        fields[read_column(name)] = value
    if confidence.evidence is not None:
        fields[EVIDENCE_MISSING] = ", ".join(_lacking(confidence)) or None
    return fields
