"""Answers and outcomes, held against what an estimator's certificates promise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.errors import InputError

from .reporting import SILENT, Reporter

if TYPE_CHECKING:
    from ct_guard.evaluation.answers import Answer
    from ct_guard.monitoring import Alarm, Answered, Noted, Outcome, Standing
    from ct_guard.store import Manifest

__all__ = [
    "MonitorConfig",
    "MonitorResult",
    "OutcomesConfig",
    "OutcomesResult",
    "monitor",
    "outcomes",
]

AT_ONCE = 4096
"""Answers that are noted in one transaction."""
FEW_ROWS = 300
FEW_LABELS = 0.5


@dataclass(frozen=True, kw_only=True)
class MonitorConfig:
    """Whose promises are watched, and where is written what is known of them."""

    estimator: str | Path
    """The estimator that scored the rows."""
    book: str | Path | None = None
    """The SQLite file of answers and outcomes; None: `monitor.sqlite` in the estimator's
    directory."""
    false_alarm: float | None = None
    """Allowed probability, in (0, 1), that any test ever raises an alarm while nothing changes;
    None: that of the book, 0.05 in a new one."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Column values that a row must have."""


@dataclass(frozen=True)
class MonitorResult:
    """What the rows gave alarm of, and how the watch stands."""

    rows: int
    """Rows of the file."""
    new: int
    """Of these, how many were not noted before."""
    alarms: "tuple[Alarm, ...]"
    """Raised by these rows."""
    standing: "Standing"
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OutcomesConfig:
    """Whose answers the outcomes are of."""

    estimator: str | Path
    """The estimator that scored the answers."""
    book: str | Path | None = None
    """As for `MonitorConfig`."""
    skip_unknown: bool = False
    """Whether outcomes of answers that were never noted are passed over; else they are an error."""


@dataclass(frozen=True)
class OutcomesResult:
    """What became of the outcomes, and how the watch stands."""

    noted: "Noted"
    unlabelled: int
    """Rows that do not say whether the answer is correct."""
    alarms: "tuple[Alarm, ...]"
    """Raised by these outcomes: each makes a certificate void."""
    standing: "Standing"
    remarks: tuple[str, ...]


def monitor(
    source: str | Path | None, config: MonitorConfig, *, report: Reporter = SILENT
) -> MonitorResult:
    """Note the answers of a scored file, in order, and hold them against the certification sample.

    A row whose `id` was noted before with the same P(correct) is the same answer, and is passed
    over; so a file may be given again, longer. Grades in it are not read: see `outcomes`.

    Args:
        source: what `score` wrote, as it comes from production: all of it, not a choice. None: only
            say how the watch stands.
        config: the estimator, and its book.
        report: hears of the rows.

    Raises:
        InputError: rows that cannot be read or were scored by another estimator, or a book that is
            none. UsageError: a rate outside its range. ManifestError: the estimator is not whole.
    """
    from ct_guard.estimators.weighing import weighing_of
    from ct_guard.evaluation.answers import read_answers
    from ct_guard.evaluation.disjoint import check_scored_by
    from ct_guard.monitoring import Watch, book_of
    from ct_guard.store import load_manifest, locate

    folder = locate(config.estimator)
    manifest = load_manifest(folder)
    watch = Watch(folder, manifest, book_of(folder, config.book), false_alarm=config.false_alarm)
    said, alarms, rows, new = _of_certificates(manifest), [], 0, 0
    if source is not None:
        weighing = weighing_of(manifest, folder)
        found = read_answers(source, manifest, weighing, keep=watch.columns, where=config.where)
        check_scored_by(found, manifest)
        rows = len(found.rows)
        with report.working("Watching", rows) as work:
            for arithmetic, alike in groupby(found.rows, key=lambda row: row.arithmetic):
                while part := [_answered(row, watch.columns) for row in islice(alike, AT_ONCE)]:
                    counted, raised = watch.note(part, arithmetic)
                    new += counted
                    alarms += raised
                    work.advance(len(part))
        unnamed = sum(row.item is not None and row.item.id is None for row in found.rows)
        if unnamed:
            said.append(
                f"{unnamed:,} rows have no `id`: they can get no outcome, and count again where the"
                " file is given again."
            )
        if new < rows:
            said.append(f"{rows - new:,} rows were noted before, and are passed over.")
        if found.graded:
            said.append(
                f"{found.graded:,} rows have a grade, which was not read: where it is an outcome,"
                " give it with 'ct-guard outcomes add'."
            )
    standing = watch.standing()
    return MonitorResult(rows, new, tuple(alarms), standing, (*said, *_of_labels(standing)))


def outcomes(source: str | Path, config: OutcomesConfig) -> OutcomesResult:
    """Note what came of answers, in order, and hold it against the certificates. One whose error
    rate turns out to be above its alpha becomes void, in the estimator's manifest.

    All rows are noted, or none.

    Args:
        source: .jsonl, .csv or .parquet with `id`, as in the scored file, and `correct`.
        config: the estimator, and its book.

    Raises:
        InputError: rows that cannot be read, ids of answers that were never noted, outcomes that
            contradict each other or those that are known, or a book that is none.
    """
    from ct_guard.monitoring import Watch, book_of
    from ct_guard.store import load_manifest, locate

    folder = locate(config.estimator)
    manifest = load_manifest(folder)
    known, unlabelled = _read_outcomes(source)
    watch = Watch(folder, manifest, book_of(folder, config.book))
    noted, alarms = watch.add_outcomes(known, skip_unknown=config.skip_unknown)
    said = _of_certificates(manifest)
    if len({one.correct for one in known}) == 1 and len(known) > 1:
        said.append(
            f"Not one outcome in {source} is of a {'wrong' if known[0].correct else 'right'}"
            " answer: where they are not known of right and wrong answers alike, they tell nothing"
            " of the error rate."
        )
    standing = watch.standing()
    return OutcomesResult(
        noted, unlabelled, tuple(alarms), standing, (*said, *_of_labels(standing))
    )


def _answered(row: "Answer", columns: Sequence[str]) -> "Answered":
    from ct_guard.monitoring import Answered, answered
    from ct_guard.records import Confidence

    if row.item is None:
        return Answered(None, "", None, None, row.status)
    return answered(row.item, Confidence(p=row.p), columns)._replace(status=row.status)


def _read_outcomes(source: str | Path) -> "tuple[list[Outcome], int]":
    """The outcomes, and how many rows have none."""
    from ct_guard.files import Rejected, correct_of, open_rows, texts_of
    from ct_guard.monitoring import Outcome

    found, without = [], 0
    for row in open_rows(source, needs=(("id",), ("correct",))):
        correct, names = correct_of(row), texts_of(row, "id")
        if isinstance(correct, Rejected):
            raise InputError(f"{correct.message}: correct it, or leave it empty where unknown")
        if correct is None:
            without += 1
            continue
        if isinstance(names, Rejected) or len(names) != 1:
            raise InputError(
                f"{row.where}: field 'id' must name the answer that the outcome is of: write the"
                " `id` of the scored row"
            )
        found.append(Outcome(names[0], correct, row.where))
    if not found:
        raise InputError(
            f"{source}: no row has an outcome in 'correct' (true or false): label the answers first"
        )
    return found, without


def _of_certificates(manifest: "Manifest") -> list[str]:
    """What cannot be watched."""
    from ct_guard.monitoring import claims_of

    if not claims_of(manifest.known):
        return [
            f"{manifest.name} has no certified threshold, so that there is no promise to watch:"
            " make one with 'ct-guard certify'."
        ]
    samples = [one.sample for one in manifest.certificates if one.sample is not None]
    if not manifest.certificates:
        return [
            f"{manifest.name} keeps no sample of a certified threshold: scores, statuses and models"
            " cannot be compared; certify one as well for that. Outcomes are tested."
        ]
    if not samples:
        return [
            f"The certificate of {manifest.name} keeps nothing of its sample, as those of older"
            " versions: scores, statuses and models cannot be compared; certify again for that."
            " Outcomes are tested."
        ]
    size = sum(samples[0].scores)
    said = []
    if size < FEW_ROWS:
        said.append(
            f"The certification sample has {size:,} rows: with fewer than {FEW_ROWS}, scores that"
            " shift a little may never be noticed."
        )
    if not samples[0].models:
        said.append(
            "The certification sample does not name its answering models: that another one answers"
            " cannot be noticed."
        )
    return said


def _of_labels(standing: "Standing") -> list[str]:
    """What the outcomes that are known leave open."""
    said = [
        f"Outcomes are known of {one.labelled:,} of {one.answered:,} {one.claim.about}: the test is"
        " of all only where these were drawn at random, and not, say, by complaint."
        for one in standing.promises[:1]
        if 0 < one.labelled < FEW_LABELS * one.answered
    ]
    if standing.clock_went_back:
        said.append(
            f"The clock of this machine went back by {standing.clock_went_back:,.0f} s: until it"
            " caught up, times are the latest that was known; the tests go by the order of arrival."
        )
    return said
