"""Score a file of answers: read, assess, write; a journal makes a killed run resumable."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ct_guard.files import (
    Rejected,
    Row,
    check_output,
    correct_of,
    open_rows,
    open_writer,
    question_answer,
)
from ct_guard.guard import Guard
from ct_guard.query import clean
from ct_guard.records import Assessment, Confidence, QuestionAnswer

from .journal import open_journal, writing

__all__ = ["RESULTS", "Preview", "Summary", "score_file"]

RESULTS: dict[str, type] = {
    "confidence": float,
    "logit": float,
    "action": str,
    "status": str,
    "calibrated": bool,
    "truncated": bool,
    "sanitized": bool,
    "read_apart": bool,
    "estimator": str,
    "scorer": str,
    "backend": str,
    "error": str,
}
"""Columns added to every row. `logit` is the raw score: calibration, certification and evaluation
read it and never need the model again; `scorer` says what it follows from (`Manifest.scorer`)."""

CHUNK_ROWS = 1024
CHUNK_CHARACTERS = 4_000_000
"""A chunk is scored and written together: large enough to batch by length, bounded in memory."""


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
    preview: int = 0,
    on_rows: Callable[[int], None] = lambda count: None,
) -> Summary:
    """Write `source` with the columns of `RESULTS` to `output`; rows keep their order.

    A row that cannot be read becomes a row with a status and a message and stops nothing. With
    `resume`, results of an earlier, interrupted run to the same output are taken from its journal.
    `on_rows` is told how many rows each finished chunk held.

    Raises InputError for files that cannot be read or written, OutputExistsError for an output or a
    journal that is there, UsageError for a journal of another run.
    """
    summary = Summary()
    rows = open_rows(source)
    check_output(output, source=source, overwrite=overwrite, resumable=True)
    with writing(source, output):
        journal = open_journal(source, output, _settings(guard), resume=resume, overwrite=overwrite)
        try:
            with open_writer(output, RESULTS, source=source, overwrite=overwrite) as writer:

                def keep(row: Row, result: dict[str, Any]) -> None:
                    writer.write(row, result)
                    _count(summary, row, result, preview)

                if journal is not None:
                    for row, result in zip(
                        islice(rows, journal.stored), journal.replay(), strict=True
                    ):
                        keep(row, result)
                    summary.replayed = journal.stored
                    on_rows(journal.stored)
                for chunk in _chunks(rows):
                    results = _assess(guard, chunk)
                    if journal is not None:
                        journal.append(results)
                    for row, result in zip(chunk, results, strict=True):
                        keep(row, result)
                    on_rows(len(chunk))
        finally:
            if journal is not None:
                journal.close()
        if journal is not None:
            journal.finish()
    return summary


def _settings(guard: Guard) -> dict[str, Any]:
    """Whatever changes the result of a row."""
    return {
        "estimator": guard.estimator.fingerprint,
        "backend": guard.estimator.backend.name,
        "refusals": guard.estimator.refusals,
        "policy": repr(guard.policy),
        "on_error": guard.on_error,
    }


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += sum(map(_size, row.fields.values()))
        if len(chunk) == CHUNK_ROWS or size > CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _size(value: Any) -> int:
    """Characters of text in a value, however nested."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, list) else 0


def _assess(guard: Guard, chunk: list[Row]) -> list[dict[str, Any]]:
    parsed = [question_answer(row) for row in chunk]
    readable = [item for item in parsed if isinstance(item, QuestionAnswer)]
    assessed = iter(guard.assess_batch(readable))
    scorer = guard.estimator.manifest.scorer
    return [
        _result(
            next(assessed) if isinstance(item, QuestionAnswer) else _rejected(guard, item), scorer
        )
        for item in parsed
    ]


def _rejected(guard: Guard, rejected: Rejected) -> Assessment:
    confidence = Confidence(
        p=None,
        status=rejected.status,
        error=rejected.message,
        estimator=guard.estimator.name,
        backend=guard.estimator.backend.name,
    )
    return Assessment(confidence=confidence, decision=guard.decide(confidence))


def _result(assessment: Assessment, scorer: str) -> dict[str, Any]:
    fields = assessment.confidence.model_dump(exclude={"provider_logprobs"})
    fields["confidence"] = fields.pop("p")
    return {"action": assessment.action, **fields, "scorer": scorer}


def _count(summary: Summary, row: Row, result: dict[str, Any], preview: int) -> None:
    p = result["confidence"]
    summary.rows += 1
    summary.statuses[result["status"]] += 1
    summary.actions[result["action"]] += 1
    summary.truncated += result["truncated"]
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
