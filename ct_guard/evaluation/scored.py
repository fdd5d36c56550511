"""Scored files read back as columns: no model is needed for what follows."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ct_guard.certificates import Arithmetic
from ct_guard.errors import InputError
from ct_guard.files import Rejected, Row, correct_of, many_rows, open_rows, told_by
from ct_guard.files.columns import cell
from ct_guard.store import question_hash, set_hash

__all__ = [
    "UNNAMED",
    "Need",
    "Scored",
    "ScoredRow",
    "arithmetic_of",
    "logit_of",
    "number_in",
    "read_scored",
]

Need = Literal["confidence", "logit"]

NONE = "(none)"
"""What a column says of a row that has no value in it."""
UNNAMED = "unknown"
"""The estimator or status of a row that names none."""


class ScoredRow(NamedTuple):
    """A row that carries a score and a grade."""

    p: float
    """In [0, 1]; NaN where only a logit was asked for and the row has no confidence."""
    logit: float
    """The raw score; NaN where only a confidence was asked for and the row has no logit."""
    correct: bool
    question: int
    """Number of the question: answers to one question share it."""
    answer: str
    id: str | None
    model: str | None
    where: str
    """File and line, as messages name it."""
    values: tuple[str, ...]
    """Of the further columns that were asked for, as text."""
    logprobs: tuple[float, ...] | None = None
    """Of the answer's tokens, as the answering model reports them."""


@dataclass(frozen=True)
class Scored:
    """The rows of a scored file that carry a score and a grade: as records, and as columns of
    length n."""

    path: str
    estimators: tuple[str, ...]
    scorers: tuple[str, ...]
    """What the logits follow from (`Manifest.scorer`), as far as rows say it."""
    arithmetics: tuple[Arithmetic, ...]
    """What they were computed in, as far as rows say it."""
    graded: tuple[ScoredRow, ...]
    keys: tuple[str, ...]
    """Question key by question number."""
    asked: tuple[str, ...]
    """Text of the last turn, by question number."""
    kept: tuple[str, ...]
    """Names of the further columns."""
    rows: int
    statuses: Counter[str]
    ungraded: int
    """Rows with a score and no grade."""
    lost: tuple[str, ...] = ()
    """Places of the rows that are said to be scored (status `ok`, or none) and have no score, as
    where it is NaN."""

    @property
    def loss(self) -> str | None:
        """A sentence about those rows; None where there are none."""
        if not self.lost:
            return None
        return (
            f"{len(self.lost):,} rows of status ok have no score, or NaN (the first:"
            f" {self.lost[0]}): they do not count; score them again."
        )

    def __len__(self) -> int:
        return len(self.graded)

    @cached_property
    def p(self) -> NDArray[np.float64]:
        return np.array([row.p for row in self.graded])

    @cached_property
    def logit(self) -> NDArray[np.float64]:
        return np.array([row.logit for row in self.graded])

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        return np.array([row.correct for row in self.graded], dtype=np.bool_)

    @cached_property
    def question(self) -> NDArray[np.int64]:
        return np.array([row.question for row in self.graded], dtype=np.int64)

    def column(self, name: str) -> list[str]:
        """A further column that was asked for."""
        at = self.kept.index(name)
        return [row.values[at] for row in self.graded]

    def question_keys(self) -> frozenset[str]:
        """Keys of the questions of these rows."""
        return self._questions

    @cached_property
    def _questions(self) -> frozenset[str]:
        return frozenset(self.keys[row.question] for row in self.graded)

    @cached_property
    def question_hashes(self) -> frozenset[str]:
        """Short hashes of the same (`store.questions`)."""
        return frozenset(map(question_hash, self._questions))

    @cached_property
    def set_hash(self) -> str:
        """Identifies the set of these questions."""
        return set_hash(self._questions)

    def take(self, at: Iterable[int]) -> "Scored":
        """The same with the rows at these places only, in this order; questions keep their
        numbers."""
        return replace(self, graded=tuple(self.graded[place] for place in at))


@many_rows()
def read_scored(
    path: str | Path,
    *,
    need: Need = "confidence",
    keep: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    rows: Iterable[Row] | None = None,
) -> Scored:
    """Read what `ct-guard score` wrote.

    Args:
        path: the scored file.
        need: the column without which a row is left out: `confidence`, or the raw `logit`.
        keep: names of further columns to read, as text.
        where: column values that a row must have, else it is passed over.
        rows: those of the file, where they have just been scored and it does not hold the scores.

    Raises:
        InputError: the file was not scored or not graded, a column is in no row, or a value is not
            what its column holds; names file, line and field.
    """
    wanted = dict(where or {})
    found = _Found(str(path), keep)
    missing = {*keep, *wanted}
    for row in open_rows(path) if rows is None else rows:
        if row.error is not None:
            raise InputError(f"{row.error}: correct or remove the row")
        missing -= row.fields.keys()
        if all(_text(row, name) == value for name, value in wanted.items()):
            found.add(row, need)
    if missing and found.seen:
        raise InputError(f"{path}: no row has a column '{min(missing)}': check its name")
    if not found.seen:
        chosen = "".join(f" with {name}={value}" for name, value in wanted.items())
        raise InputError(f"{path}: no row{chosen}: check the file and what is asked of it")
    return found.scored(need)


class _Found:
    """What was read so far."""

    def __init__(self, path: str, keep: Sequence[str]) -> None:
        self.path = path
        self.keep = tuple(keep)
        self.seen = 0
        self.ungraded = 0
        self.lost: list[str] = []
        self.graded: list[ScoredRow] = []
        self.statuses: Counter[str] = Counter()
        self.estimators: dict[str, None] = {}
        self.scorers: dict[str, None] = {}
        self.arithmetics: dict[tuple[str, str], Arithmetic] = {}
        self.numbers: dict[str, int] = {}
        self.asked: list[str] = []

    def add(self, row: Row, need: Need) -> None:
        self.seen += 1
        fields = row.fields
        if need not in fields:
            raise InputError(
                f"{row.where}: no column '{need}': score the file first (ct-guard score), or remove"
                " the row"
            )
        self.statuses[str(fields.get("status") or UNNAMED)] += 1
        p, logit = _probability(row), logit_of(row)
        if (p if need == "confidence" else logit) is None:
            if fields.get("status") in (None, "", "ok"):
                self.lost.append(row.where)
            return
        self.estimators.setdefault(str(fields.get("estimator") or UNNAMED))
        if fields.get("scorer"):
            self.scorers.setdefault(str(fields["scorer"]))
        if (str(fields.get("backend")), str(fields.get("format"))) not in self.arithmetics:
            computed = arithmetic_of(row)
            if computed is not None:
                self.arithmetics[computed.backend, computed.format] = computed
        grade = correct_of(row)
        if isinstance(grade, Rejected):
            raise InputError(f"{grade.message}: correct it, or leave it empty where unknown")
        if grade is None:
            self.ungraded += 1
            return
        item = told_by(row)
        if isinstance(item, Rejected):
            raise InputError(f"{item.message}: correct or remove the row")
        number = self.numbers.setdefault(item.key, len(self.numbers))
        if number == len(self.asked):
            self.asked.append(item.asked)
        self.graded.append(
            ScoredRow(
                p=math.nan if p is None else p,
                logit=math.nan if logit is None else logit,
                correct=grade,
                question=number,
                answer=item.answer,
                id=item.id,
                model=item.model,
                where=row.where,
                values=tuple(_text(row, name) for name in self.keep),
                logprobs=item.logprobs,
            )
        )

    def scored(self, need: Need) -> Scored:
        if not self.graded:
            raise InputError(
                f"{self.path}: no row has both a {need} and a grade in 'correct' (true or false):"
                " grade the answers first"
            )
        return Scored(
            path=self.path,
            estimators=tuple(self.estimators),
            scorers=tuple(self.scorers),
            arithmetics=tuple(self.arithmetics.values()),
            graded=tuple(self.graded),
            keys=tuple(self.numbers),
            asked=tuple(self.asked),
            kept=self.keep,
            rows=self.seen,
            statuses=self.statuses,
            ungraded=self.ungraded,
            lost=tuple(self.lost),
        )


def _text(row: Row, name: str) -> str:
    text = cell(row.fields.get(name))
    return NONE if text is None or text == "" else text


def _probability(row: Row) -> float | None:
    p = _number(row.fields.get("confidence"))
    if p is not None and not 0 <= p <= 1:
        raise InputError(
            f"{row.where}: field 'confidence' must be between 0 and 1, found"
            f" {row.fields['confidence']!r}: score the row again"
        )
    return p


def arithmetic_of(row: Row) -> Arithmetic | None:
    """What the row's score was computed in; None where it does not say."""
    fields = row.fields
    if not fields.get("format") or not fields.get("backend"):
        return None
    noise = _number(fields.get("noise"))
    known = noise is not None and math.isfinite(noise) and noise >= 0
    return Arithmetic(
        backend=str(fields["backend"]),
        format=str(fields["format"]),
        noise=noise if known else None,
    )


def logit_of(row: Row) -> float | None:
    """The row's raw score, None where it has none. Raises InputError for one that is no finite
    number."""
    return number_in(row, "logit")


def number_in(row: Row, name: str) -> float | None:
    """A number that scoring wrote, None where there is none. Raises InputError for one that is not
    finite."""
    number = _number(row.fields.get(name))
    if number is not None and not math.isfinite(number):
        raise InputError(
            f"{row.where}: field {name!r} must be a finite number, found"
            f" {row.fields[name]!r}: score the row again, or leave it empty"
        )
    return number


def _number(value: Any) -> float | None:
    """None for an absent value, NaN for one that is no number."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
