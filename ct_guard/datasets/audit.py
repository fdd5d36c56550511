"""A person checks a draw of the graded rows: how often is the grader wrong, and in which way?"""

import random
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import scipy  # type: ignore[import-untyped]
from pydantic import Field

from ct_guard.errors import InputError, UsageError
from ct_guard.files import Needs, Rejected, Row, correct_of, open_rows, open_writer
from ct_guard.files.columns import cell, harmless
from ct_guard.files.paths import STDIO
from ct_guard.records import Record

__all__ = ["AUDIT_COLUMNS", "Audit", "Rate", "Stratum", "draw", "grader_rates", "measure"]

AUDIT_COLUMNS: dict[str, type] = {
    "row": int,
    "question": str,
    "gold": str,
    "answer": str,
    "correct": bool,
}
"""What the person gets. The grader's verdict is left out, so that it leads nobody."""

_FILLED: Needs = (("row",), ("answer",), ("correct",))
_GRADED: Needs = (("question", "messages"), ("answer",), ("correct",))


class Rate(Record):
    """A share and its interval, each in [0, 1]; `value` is None where nothing was seen."""

    value: float | None
    low: float
    high: float


class Stratum(Record):
    """Rows with one verdict of the grader: all, those that a person checked, those overturned."""

    rows: int = Field(ge=0)
    checked: int = Field(ge=0)
    overturned: int = Field(ge=0)


class Audit(Record):
    """What a person found out about the grader."""

    right: Stratum
    wrong: Stratum
    undecided: int = Field(ge=0)
    """Drawn rows that the person left without a verdict."""
    level: float
    """Coverage of the intervals, at least."""
    false_pass: Rate
    """Share of the wrong answers that the grader calls right. Its upper bound is for
    `ct_guard.risk.corrected_risk`."""
    false_fail: Rate
    """Share of the right answers that the grader calls wrong."""


def draw(
    graded: str | Path,
    output: str | Path,
    size: int,
    *,
    gold: str,
    seed: int = 0,
    overwrite: bool = False,
) -> int:
    """Draw `size` rows of a graded file for a person to check, and write them to `output`.

    Half of them are rows that the grader called right and half are rows that it called wrong, as
    far as there are; unclear rows carry no label, so nothing rests on them. `gold` is the column of
    the gold answers. Returns how many rows were drawn: fewer than `size` where there are fewer.

    The file is for a spreadsheet: as CSV, formulas in it are made harmless.

    Raises as `open_writer`, and UsageError for a size below 2 or a file without a graded row.
    """
    if size < 2:
        raise UsageError(f"an audit draws at least 2 rows, one of each verdict, not {size}")
    strata = {True: array("q"), False: array("q")}
    for number, row in _numbered(graded):
        correct = correct_of(row)
        if isinstance(correct, bool):
            strata[correct].append(number)
    if not any(strata.values()):
        raise UsageError(f"{graded}: no row is graded right or wrong: there is nothing to audit")
    rng = random.Random(seed)  # noqa: S311
    half = min(len(strata[True]), max(size // 2, size - len(strata[False])))
    drawn = set(rng.sample(strata[True], half))
    drawn.update(rng.sample(strata[False], min(len(strata[False]), size - half)))
    with open_writer(
        output, AUDIT_COLUMNS, source=STDIO, overwrite=overwrite, spreadsheet=True
    ) as writer:
        for number, row in _numbered(graded):
            if number in drawn:
                shown = {name: _text(row, name) for name in ("question", "answer")}
                values = {"row": number, "gold": _text(row, gold), **shown}
                writer.write(Row(number, {}), values)
    return len(drawn)


def measure(graded: str | Path, checked: str | Path, *, level: float = 0.95) -> Audit:
    """The grader's error rates from `checked`, the file of `draw` with the person's verdicts in its
    column `correct`: true, false, or empty where the person cannot say.

    Raises InputError for a verdict that is none of these, a row that was not drawn from `graded`, a
    row that is there twice, and a file without any verdict.
    """
    verdicts: dict[int, tuple[bool | None, str]] = {}
    for row in open_rows(checked, _FILLED):
        correct = correct_of(row)
        if isinstance(correct, Rejected):
            raise InputError(correct.message)
        number = _row_number(row)
        if number in verdicts:
            raise InputError(f"{row.where}: row {number} is there twice; keep one verdict")
        verdicts[number] = (correct, _text(row, "answer"))
    if all(correct is None for correct, _ in verdicts.values()):
        raise InputError(
            f"{checked}: has no verdict yet: write true or false into the column 'correct'"
        )
    rows = {True: 0, False: 0}
    seen = {True: 0, False: 0}
    overturned = {True: 0, False: 0}
    matched = 0
    for number, row in _numbered(graded):
        graded_as = correct_of(row)
        if isinstance(graded_as, bool):
            rows[graded_as] += 1
        if number not in verdicts:
            continue
        person, answer = verdicts[number]
        if not isinstance(graded_as, bool) or _words(answer) != _words(_text(row, "answer")):
            raise InputError(f"{checked}: row {number} was not drawn from {graded}; draw again")
        matched += 1
        if person is not None:
            seen[graded_as] += 1
            overturned[graded_as] += person is not graded_as
    if matched < len(verdicts):
        raise InputError(f"{checked}: has rows that {graded} has not; draw again")
    right, wrong = (
        Stratum(rows=rows[kind], checked=seen[kind], overturned=overturned[kind])
        for kind in (True, False)
    )
    false_pass, false_fail = grader_rates(right, wrong, level)
    return Audit(
        right=right,
        wrong=wrong,
        undecided=sum(correct is None for correct, _ in verdicts.values()),
        level=level,
        false_pass=false_pass,
        false_fail=false_fail,
    )


def grader_rates(right: Stratum, wrong: Stratum, level: float = 0.95) -> tuple[Rate, Rate]:
    """False-pass and false-fail rate.

    The draw tells how often each verdict is overturned; weighted with how many rows have that
    verdict, this gives, of all wrong answers, the share that passed, R o_r / (R o_r + W (1 - o_w)),
    and of all right ones the share that failed. Both rise with one share and fall with the
    other, so the bounds of two Clopper-Pearson intervals, each at level 1 - (1 - level) / 2, give
    an interval that covers with probability `level` at least (Bonferroni).
    """
    of_right, of_wrong = _shares(right, level), _shares(wrong, level)
    return _rate(right, of_right, wrong, of_wrong), _rate(wrong, of_wrong, right, of_right)


def _shares(stratum: Stratum, level: float) -> tuple[float | None, float, float]:
    """Overturned: estimate, lower and upper bound."""
    if not stratum.checked:
        return None, 0.0, 1.0
    test = scipy.stats.binomtest(stratum.overturned, stratum.checked)
    bounds = test.proportion_ci(1.0 - (1.0 - level) / 2.0, method="exact")
    return stratum.overturned / stratum.checked, float(bounds.low), float(bounds.high)


def _rate(
    mine: Stratum,
    overturned: tuple[float | None, float, float],
    other: Stratum,
    others: tuple[float | None, float, float],
) -> Rate:
    """Of the answers that truly are not what `mine` says, the share that got this verdict."""

    def share(of_mine: float, of_other: float) -> float | None:
        here, there = mine.rows * of_mine, other.rows * (1.0 - of_other)
        return here / (here + there) if here + there else None

    known = (overturned[0] is not None or not mine.rows, others[0] is not None or not other.rows)
    low, high = share(overturned[1], others[1]), share(overturned[2], others[2])
    return Rate(
        value=share(overturned[0] or 0.0, others[0] or 0.0) if all(known) else None,
        low=0.0 if low is None else low,
        high=1.0 if high is None else high,
    )


def _numbered(graded: str | Path) -> Iterator[tuple[int, Row]]:
    return enumerate(open_rows(graded, _GRADED), start=1)


def _row_number(row: Row) -> int:
    value: Any = row.fields.get("row")
    try:
        return int(value)
    except (TypeError, ValueError):
        raise InputError(f"{row.where}: field 'row' must be a number; draw again") from None


def _text(row: Row, name: str) -> str:
    return cell(row.fields.get(name)) or ""


def _words(text: str) -> list[str]:
    """Spreadsheets change line ends and white space at the ends of cells, and get formulas made
    harmless."""
    return harmless(text.strip()).split()
