"""Score a file of answers: read, assess, write; a journal makes a killed run resumable."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

from ct_guard.errors import BackendError, CtGuardError
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

from .pace import Pace
from .run import running

__all__ = ["RESULTS", "Preview", "Summary", "score_file"]

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
    "missing": str,
    "estimator": str,
    "scorer": str,
    "backend": str,
    "format": str,
    "noise": float,
    "error": str,
}
"""Columns added to every row. `logit` is the raw score: calibration, certification and evaluation
read it and never need the model again; `missing` names evidence that the row lacks, `scorer` says
what the logit follows from (`Manifest.scorer`), and `backend`, `format` and `noise` what it was
computed in (`Arithmetic`)."""

CHUNK_ROWS = 1024
CHUNK_CHARACTERS = 4_000_000
"""Most of a chunk, which is scored and written together: enough to batch by length, bounded in
memory. How much of it is used goes by the clock (`Pace`)."""
BOX = 64
"""What a list or an object weighs beside its parts, in characters."""
QUERY_CHARACTERS = 200
"""What the query and the template add to the text of a row, about."""


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
            RESULTS,
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
        whole = guard.estimator.reads_together
        for chunk in [list(rows)] if whole else _chunks(rows, pace):
            begun = monotonic()
            results = _assess(guard, chunk, summary, strict=strict)
            read = [row for row, result in zip(chunk, results, strict=True) if _is_read(result)]
            pace.took(monotonic() - begun, rows=len(read), text=sum(map(_text, read)))
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
    }


def _chunks(rows: Iterator[Row], pace: Pace) -> Iterator[list[Row]]:
    """Rows to score together. Answers to one question stay together as far as twice the size: they
    share what the model reads first."""
    chunk: list[Row] = []
    memory = text = 0
    for row in rows:
        full = len(chunk) >= pace.rows or (pace.text is not None and text >= pace.text)
        if chunk and full:
            together = len(chunk) < 2 * pace.rows and _asked(row) == _asked(chunk[-1])
            if not together or len(chunk) >= CHUNK_ROWS:
                yield chunk
                chunk, memory, text = [], 0, 0
        chunk.append(row)
        memory += _size(row.fields)
        text += _text(row)
        if memory > CHUNK_CHARACTERS:
            yield chunk
            chunk, memory, text = [], 0, 0
    if chunk:
        yield chunk


def _asked(row: Row) -> tuple[Any, ...]:
    return tuple(row.fields.get(name) for name in ("question", "context", "messages"))


def _text(row: Row) -> int:
    """Characters that the model reads of a row, about."""
    return QUERY_CHARACTERS + sum(
        _size(row.fields.get(name)) for name in ("question", "context", "messages", "answer")
    )


def _is_read(result: dict[str, Any]) -> bool:
    """Whether a model may have worked on a row."""
    return result["status"] in ("ok", "error")


def _size(value: Any) -> int:
    """Characters of text in a value, however nested, and what its lists and objects weigh."""
    if isinstance(value, str):
        return len(value)
    parts = value.values() if isinstance(value, dict) else value
    return BOX + sum(map(_size, parts)) if isinstance(value, (dict, list)) else 0


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
    if not confidence.missing:
        return confidence
    lacks = ", ".join(confidence.missing)
    error = f"the row lacks {lacks}, which {guard.estimator.name} was fitted on: add it"
    refused = guard.estimator.unscored("invalid", error)
    return refused.model_copy(update={"missing": confidence.missing})


def _rejected(guard: Guard, rejected: Rejected) -> Assessment:
    confidence = guard.estimator.unscored(rejected.status, rejected.message)
    return Assessment(confidence=confidence, decision=guard.decide(confidence))


def _result(assessment: Assessment, origin: dict[str, Any]) -> dict[str, Any]:
    fields = assessment.confidence.model_dump(exclude={"provider_logprobs"})
    fields["confidence"] = fields.pop("p")
    fields["missing"] = ", ".join(assessment.confidence.missing) or None
    return {"action": assessment.action, **fields, **origin}


def _count(summary: Summary, row: Row, result: dict[str, Any], preview: int) -> None:
    p = result["confidence"]
    summary.rows += 1
    summary.statuses[result["status"]] += 1
    summary.actions[result["action"]] += 1
    summary.truncated += result["truncated"]
    summary.missing.update(name for name in (result.get("missing") or "").split(", ") if name)
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
