"""Score a file of answers: read, assess, write; a journal makes a killed run resumable."""

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

from ct_guard.errors import BackendError, CtGuardError, UsageError
from ct_guard.evidence import read_column
from ct_guard.files import (
    Rejected,
    Row,
    Shape,
    check_beginning,
    correct_of,
    open_rows,
    open_writer,
    question_answer,
)
from ct_guard.guard import Guard
from ct_guard.query import clean
from ct_guard.records import Assessment, Confidence, QuestionAnswer

from .chunks import CHUNK_ROWS, chunks_for, text_of
from .pace import Pace
from .run import running

__all__ = ["RESULTS", "Preview", "Summary", "check_columns_of_rows", "score_file"]

RESULTS: dict[str, type] = {
    "confidence": float,
    "logit": float,
    "action": str,
    "status": str,
    "calibrated": bool,
    "truncated": bool,
    "sanitized": bool,
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


@dataclass(frozen=True)
class Preview:
    """A row as people look at it."""

    question: str
    answer: str
    p: float | None
    action: str
    status: str


@dataclass
class Summary:
    """What a run did. `p` and `correct` hold the rows that have both, for a first look at quality:
    9 bytes a row, all that grows with the file."""

    rows: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    within_noise: int = 0
    """Rows that the noise of the number format alone puts on their side of the threshold."""
    missing: Counter[str] = field(default_factory=Counter)
    """Scored rows by the evidence that they lack."""
    replayed: int = 0
    unreadable_grades: int = 0
    p: "array[float]" = field(default_factory=lambda: array("d"))
    correct: bytearray = field(default_factory=bytearray)
    preview: list[Preview] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Rows that are `invalid` or `error`."""
        return self.statuses["invalid"] + self.statuses["error"]


def check_columns_of_rows(evidence: Sequence[str]) -> None:
    """Raises UsageError where `column:NAME` or `group:NAME` is one that scoring writes: of a scored
    file it would be learnt, and of another it would be read."""
    for name in evidence:
        if name.startswith(("column:", "group:")) and name.partition(":")[2] in RESULTS:
            raise UsageError(
                f"the evidence {name} is a column that scoring writes: give yours another name"
            )


def score_file(
    guard: Guard,
    source: str | Path,
    output: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    spreadsheet: bool = False,
    preview: int = 0,
    shape: Shape | None = None,
    strict: bool = False,
    on_rows: Callable[[int], None] = lambda count: None,
    on_resumed: Callable[[int], None] = lambda count: None,
) -> Summary:
    """Write `source` with the columns of `RESULTS` to `output`; rows keep their order.

    A row that cannot be read becomes a row with a status and a message and stops nothing. With
    `resume`, results of an earlier, interrupted run to the same output are taken from its journal.
    `spreadsheet` is as for `open_writer`. Rows of another `shape` are written as ours. `strict`
    refuses rows that lack evidence which the estimator was fitted on. `on_rows` is told how many
    rows each finished chunk held, `on_resumed` how many were taken from the journal. The estimator
    works on the calling thread, so that an interrupt ends it cleanly, and chunks follow the clock,
    so that it costs some seconds of work: rows that are scored in other company agree within the
    noise of their number format.

    Raises InputError for files that cannot be read or written, OutputExistsError for an output or a
    journal that is there, UsageError for a journal of another run and for an output that another
    process is writing.
    """
    summary = Summary()
    rows = open_rows(source, shape=shape)
    check_beginning(source, shape=shape)
    reshaped = shape is not None and shape.changes(source)
    with (
        running(
            source,
            output,
            _settings(guard, shape if reshaped else None, strict),
            overwrite=overwrite,
            resume=resume,
        ) as run,
        open_writer(
            output,
            _columns(guard),
            source=source,
            overwrite=run.overwrite,
            spreadsheet=spreadsheet,
            reshaped=reshaped,
            announce=run.announce,
        ) as writer,
    ):

        def keep(row: Row, result: dict[str, Any]) -> None:
            writer.write(row, result)
            _count(summary, row, result, preview)

        for row, result in zip(islice(rows, run.stored), run.replay(), strict=True):
            keep(row, result)
        summary.replayed = run.stored
        on_resumed(run.stored)
        pace = Pace(CHUNK_ROWS)
        for chunk in chunks_for(guard.estimator, rows, pace):
            begun = monotonic()
            results = _assess(guard, chunk, summary, strict=strict)
            read = [row for row, result in zip(chunk, results, strict=True) if _is_read(result)]
            pace.took(monotonic() - begun, rows=len(read), text=sum(map(text_of, read)))
            run.append(results)
            for row, result in zip(chunk, results, strict=True):
                keep(row, result)
            on_rows(len(chunk))
    return summary


def _settings(guard: Guard, shape: Shape | None, strict: bool) -> dict[str, Any]:
    """Whatever changes the result of a row."""
    estimator = guard.estimator
    return {
        "shape": None if shape is None else repr(shape),
        "strict": strict or None,
        "scorer": estimator.manifest.scorer,
        "estimator": estimator.fingerprint,
        "backend": estimator.arithmetic.backend,
        "dtype": estimator.arithmetic.format,
        "refusals": estimator.refusals,
        "policy": repr(guard.policy),
        "on_error": guard.on_error,
        **({"readings": estimator.readable} if estimator.readable else {}),
    }


def _columns(guard: Guard) -> dict[str, type]:
    estimator = guard.estimator
    named: dict[str, type] = {read_column(name): float for name in estimator.readable}
    fitted = estimator.manifest.evidence is not None
    return {**RESULTS, **named, **({EVIDENCE_MISSING: str} if fitted else {})}


def _is_read(result: dict[str, Any]) -> bool:
    """Whether a model may have worked on a row."""
    return result["status"] in ("ok", "error")


def _assess(
    guard: Guard, chunk: list[Row], summary: Summary, *, strict: bool
) -> list[dict[str, Any]]:
    columns = guard.estimator.columns
    parsed = [question_answer(row, columns) for row in chunk]
    readable = [item for item in parsed if isinstance(item, QuestionAnswer)]
    assessments = _assessments(guard, readable, strict=strict)
    for item, made in zip(readable, assessments, strict=True):
        at = made.decision.threshold
        if at is not None and guard.estimator.is_within_noise(made.confidence, item, at):
            summary.within_noise += 1
    assessed = iter(assessments)
    computed = guard.estimator.arithmetic
    origin = {
        "scorer": guard.estimator.manifest.scorer,
        "format": computed.format,
        "noise": computed.noise,
    }
    return [
        _result(
            next(assessed) if isinstance(item, QuestionAnswer) else _rejected(guard, item), origin
        )
        for item in parsed
    ]


def _assessments(guard: Guard, items: list[QuestionAnswer], *, strict: bool) -> list[Assessment]:
    """As `Guard.assess_batch`, on this thread: another one could still be computing when an
    interrupt ends the process."""
    try:
        scored = guard.estimator.score(items) if items else []
        if len(scored) != len(items):
            raise BackendError(
                f"the estimator returned {len(scored)} scores for {len(items)} answers"
            )
    except Exception as error:
        if guard.on_error == "raise":
            raise
        said = str(error) if isinstance(error, CtGuardError) else repr(error)
        scored = [guard.estimator.unscored("error", " ".join(said.split()))] * len(items)
    if strict:
        scored = [_complete(guard, one) for one in scored]
    return [Assessment(confidence=one, decision=guard.decide(one)) for one in scored]


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


def _rejected(guard: Guard, rejected: Rejected) -> Assessment:
    confidence = guard.estimator.unscored(rejected.status, rejected.message)
    return Assessment(confidence=confidence, decision=guard.decide(confidence))


def _result(assessment: Assessment, origin: dict[str, Any]) -> dict[str, Any]:
    fields = assessment.confidence.model_dump(exclude={"provider_logprobs", "evidence", "readings"})
    fields["confidence"] = fields.pop("p")
    for name, value in (assessment.confidence.readings or {}).items():
        fields[read_column(name)] = value
    if assessment.confidence.evidence is not None:
        fields[EVIDENCE_MISSING] = ", ".join(_lacking(assessment.confidence)) or None
    return {"action": assessment.action, **fields, **origin}


def _count(summary: Summary, row: Row, result: dict[str, Any], preview: int) -> None:
    p = result["confidence"]
    summary.rows += 1
    summary.statuses[result["status"]] += 1
    summary.actions[result["action"]] += 1
    summary.truncated += result["truncated"]
    lacking = result.get(EVIDENCE_MISSING)
    summary.missing.update(lacking.split(", ") if lacking else ())
    correct = correct_of(row)
    if isinstance(correct, Rejected):
        summary.unreadable_grades += 1
    if p is not None and isinstance(correct, bool):
        summary.p.append(p)
        summary.correct.append(correct)
    if len(summary.preview) < preview:
        question, answer = (
            clean(str(row.fields.get(name) or ""))[0] for name in ("question", "answer")
        )
        summary.preview.append(Preview(question, answer, p, result["action"], result["status"]))
