"""Grade a file of questions: read, have them answered, grade, write; a journal makes a killed run
resumable."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from typing import Any

from ct_guard import __version__
from ct_guard.datasets import (
    GOLD,
    Answering,
    Counts,
    DataManifest,
    Grade,
    Grader,
    Question,
    question_of,
    sha256_of,
)
from ct_guard.datasets.answerers import Reply
from ct_guard.datasets.questions import ANSWER, ANSWERS, CHOICES
from ct_guard.errors import BackendError
from ct_guard.fields.rows import FIELDS_CORRECT, with_text
from ct_guard.files import (
    Needs,
    Rejected,
    Row,
    RowWriter,
    check_beginning,
    columns_of,
    open_rows,
    open_writer,
)
from ct_guard.files.columns import input_names
from ct_guard.files.paths import STDIO
from ct_guard.query import read_answer

from .pace import Pace
from .run import Run, running

__all__ = ["GRADED", "GradeSummary", "grade_file"]

GRADED: dict[str, type] = {
    "id": str,
    "question": str,
    "answer": str,
    "model": str,
    "sample": int,
    "correct": bool,
    "grade_reason": str,
    "grader": str,
}
"""Columns of a graded file. What the input says already (`id`, `question`; of given answers also
`answer`, `model`, `sample`) stays where it stands; the others are added to every row."""

BY_FIELD = "fields"
"""The grader whose rows say of each field whether it is right."""
CHUNK_ANSWERS = 1024
"""Answers that are made, graded and written together, at most; how many of them goes by the clock
(`Pace`)."""
OUTAGE = 64
"""Failures after which no outage is to be feared: an answerer would have said so."""

Result = dict[str, Any]
Graded = tuple[Row, list[Result]]


@dataclass
class GradeSummary:
    """What a run did, in rows of the output. `greedy_*` are those of first answers."""

    questions: int = 0
    right: int = 0
    wrong: int = 0
    unclear: int = 0
    failed: int = 0
    greedy_right: int = 0
    greedy_wrong: int = 0
    replayed: int = 0
    first_failure: str | None = None

    @property
    def counts(self) -> Counts:
        return Counts(
            questions=self.questions,
            right=self.right,
            wrong=self.wrong,
            unclear=self.unclear,
            failed=self.failed,
        )

    def remarks(self) -> list[str]:
        """What to know before the rows are used."""
        said = []
        if bool(self.right) != bool(self.wrong):
            kind = "right" if self.right else "wrong"
            said.append(
                f"all graded answers are {kind}: tuning, calibration and evaluation need right and"
                " wrong ones; take harder or easier questions, `samples`, or another grader"
            )
        if self.unclear > 0.2 * (self.right + self.wrong + self.unclear):
            said.append(
                "more than a fifth of the verdicts are unclear: read their grade_reason, and take"
                " another grader or judge if they have something in common"
            )
        return said

    def add(self, results: list[Result]) -> None:
        self.questions += 1
        for result in results:
            match result:
                case {"correct": True}:
                    self.right += 1
                case {"correct": False}:
                    self.wrong += 1
                case {"answer": None}:
                    self.failed += 1
                    self.first_failure = self.first_failure or result["grade_reason"]
                case _:
                    self.unclear += 1
            self.greedy_right += result["sample"] == 0 and result["correct"] is True
            self.greedy_wrong += result["sample"] == 0 and result["correct"] is False


def grade_file(
    source: str | Path,
    output: str | Path,
    answering: Answering,
    grader: Grader,
    *,
    gold: str = GOLD,
    source_name: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    spreadsheet: bool = False,
    on_rows: Callable[[int], None] = lambda count: None,
    on_resumed: Callable[[int], None] = lambda count: None,
) -> GradeSummary:
    """Write to `output` a row for every answer to the questions of `source`, with its grade, and
    beside it the manifest of the data.

    A question that cannot be read, has no gold answer or got no answer becomes a row whose
    `correct` is empty and whose `grade_reason` says why; it stops nothing. With `resume`, what an
    earlier, interrupted run to the same output did is taken from its journal. `source_name` is what
    the manifest calls the source, if not by the file's name; `spreadsheet` is as for `open_writer`.
    `on_rows` is told how many questions each finished chunk held, `on_resumed` how many were taken
    from the journal. Chunks follow the clock, so that an interrupt costs some seconds of work, or
    the requests that are under way.

    Raises InputError for files that cannot be read or written, OutputExistsError for an output or a
    journal that is there, UsageError for a journal of another run and for an output that another
    process is writing, and BackendError where no further answer can be had: all that was graded
    until then stays in the journal, but for the failures that led there.
    """
    rows = open_rows(source, _needs(answering, gold))
    check_beginning(source, _needs(answering, gold))
    columns, rows = _with_columns(source, rows)
    results = _results(columns, answering, gold, grader)
    settings = {
        "gold": gold,
        "grader": grader.name,
        "grader_settings": dict(grader.settings),
        "answering": dict(answering.settings),
    }
    with running(source, output, settings, overwrite=overwrite, resume=resume) as run:
        source_sha256 = None if str(source) == STDIO else sha256_of(source)
        with open_writer(
            output,
            results,
            source=source,
            overwrite=run.overwrite,
            spreadsheet=spreadsheet,
            announce=run.announce,
        ) as writer:
            graded = _Output(run, writer, tuple(results))
            graded.take_up(rows)
            on_resumed(run.stored)
            for count in _graded(rows, graded, answering, grader, gold):
                on_rows(count)
        if str(output) != STDIO:
            DataManifest(
                source=source_name or Path(source).name,
                source_sha256=source_sha256,
                sha256=sha256_of(output),
                gold=input_names(columns, results).get(gold, gold),
                grader=grader.name,
                grader_settings=dict(grader.settings),
                answering=dict(answering.settings),
                counts=graded.summary.counts,
                version=__version__,
            ).save(output)
    return graded.summary


@dataclass(frozen=True)
class _Output:
    """Where graded rows go: into the journal, the file and the summary."""

    run: Run
    writer: RowWriter
    names: tuple[str, ...]
    """Of the columns that are added."""
    summary: GradeSummary = field(default_factory=GradeSummary)

    def take_up(self, rows: Iterator[Row]) -> None:
        """Writes the rows that an interrupted run had settled, from its journal."""
        for row, record in zip(islice(rows, self.run.stored), self.run.replay(), strict=True):
            self._write(row, record["answers"])
        self.summary.replayed = self.run.stored

    def settle(self, graded: list[Graded]) -> None:
        self.run.append({"answers": results} for _, results in graded)
        for row, results in graded:
            self._write(row, results)

    def _write(self, row: Row, results: list[Result]) -> None:
        for result in results:
            self.writer.write(row, {name: result.get(name) for name in self.names})
        self.summary.add(results)


def _graded(
    rows: Iterator[Row], output: _Output, answering: Answering, grader: Grader, gold: str
) -> Iterator[int]:
    """Grades the rows chunk by chunk into the output; yields how many each finished chunk held.
    Raises BackendError where no further answer can be had."""
    pace = _pace(answering, grader)
    waiting: list[Graded] = []
    while chunk := list(islice(rows, pace.rows)):
        begun = monotonic()
        done, problem = _grade(chunk, answering, grader, gold)
        asked = sum(any(one["answer"] is not None for one in several) for several in done)
        pace.took(monotonic() - begun, rows=asked)
        waiting += zip(chunk, done, strict=False)
        count = _settled(waiting)
        output.settle(waiting[:count])
        del waiting[:count]
        yield len(done)
        if problem is not None:
            kept = "" if output.run.journal is None else "; `resume` goes on from here"
            raise BackendError(f"no more answers: {problem}{kept}")
    output.settle(waiting)


def _pace(answering: Answering, grader: Grader) -> Pace:
    """In questions. What is under way at the same time is lost together: fewer at a time would save
    nothing."""
    most = answering.most or max(1, CHUNK_ANSWERS // answering.per_question)
    return Pace(most, least=max(answering.least, getattr(grader, "at_once", 1)))


def _needs(answering: Answering, gold: str) -> Needs:
    given: Needs = ((ANSWER, ANSWERS),) if answering.model is None else ()
    return (("question", "messages"), (gold,), *given)


def _with_columns(source: str | Path, rows: Iterator[Row]) -> tuple[tuple[str, ...], Iterator[Row]]:
    """The columns of the input, and all its rows. JSONL declares none: its first readable row
    speaks for the others."""
    columns = columns_of(source)
    head: list[Row] = []
    while not columns and (row := next(rows, None)) is not None:
        head.append(row)
        columns = tuple(row.fields) if row.error is None else ()
    return columns, chain(head, rows)


def _results(
    columns: tuple[str, ...], answering: Answering, gold: str, grader: Grader
) -> dict[str, type]:
    """The columns to add: those of `GRADED` that the input does not say already, and of a grader
    that goes by fields what it says of each."""
    kept = {"id"}
    if CHOICES not in columns or gold == CHOICES:
        kept.add("question")
    if answering.model is None:
        kept |= {"model", "sample"}
        if ANSWERS not in columns or gold == ANSWERS:
            kept.add("answer")
    added = {name: kind for name, kind in GRADED.items() if name not in kept.intersection(columns)}
    return {**added, FIELDS_CORRECT: str} if grader.name == BY_FIELD else added


def _settled(graded: list[Graded]) -> int:
    """How many of these rows stand, whatever follows: all up to the last one with an answer.
    Failures after it can be the beginning of an outage, after which they are asked again; of more
    than `OUTAGE`, an answerer would have said so."""
    with_answer = (
        at
        for at, (_, results) in enumerate(graded, start=1)
        if any(result["answer"] is not None for result in results)
    )
    count = max(with_answer, default=0)
    return count if len(graded) - count <= OUTAGE else len(graded)


def _grade(
    chunk: list[Row], answering: Answering, grader: Grader, gold: str
) -> tuple[list[list[Result]], str | None]:
    """The results of the rows of a chunk. Where answers or verdicts give out: of the rows before
    that, and the reason."""
    if grader.name == BY_FIELD:
        chunk = [with_text(row, "answer", gold) for row in chunk]
    questions = [question_of(row, gold=gold) for row in chunk]
    asked = [question for question in questions if isinstance(question, Question)]
    replies = iter(answering.answers(asked) if asked else [])
    answered = [
        [Reply(None, question.message)] if isinstance(question, Rejected) else next(replies)
        for question in questions
    ]
    told = [
        (reply.text, question)
        for question, several in zip(questions, answered, strict=True)
        for reply in several
        if isinstance(question, Question) and reply.text and read_answer(reply.text)[0].strip()
    ]
    grades = iter(
        grader.grade([text for text, _ in told], [question for _, question in told]) if told else []
    )
    done: list[list[Result]] = []
    for row, question, several in zip(chunk, questions, answered, strict=True):
        results = []
        for sample, reply in enumerate(several):
            if reply.stop:
                return done, reply.error
            if reply.text is None:
                grade = Grade(None, str(reply.error))
            elif not read_answer(reply.text)[0].strip():
                grade = Grade(False, "the answer is empty")
            else:
                grade = next(grades)
            if reply.cut_off and grade.correct is False:
                grade = Grade(None, f"cut for want of tokens: raise `max_tokens`; {grade.reason}")
            if grade.stop:
                return done, grade.reason
            results.append(
                {
                    "id": str(row.number),
                    "question": question.text if isinstance(question, Question) else None,
                    "answer": reply.text,
                    "model": answering.model,
                    "sample": sample,
                    "correct": grade.correct,
                    "grade_reason": grade.reason,
                    "grader": grader.name,
                    FIELDS_CORRECT: None if grade.fields is None else dict(grade.fields),
                }
            )
        done.append(results)
    return done, None
