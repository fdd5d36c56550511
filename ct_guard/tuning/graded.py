"""Graded files read for tuning, and the parts that they are divided into, by question."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ct_guard.adapters import question_hash, set_hash
from ct_guard.errors import InputError, TuningError
from ct_guard.files import Needs, Rejected, correct_of, open_rows, question_answer
from ct_guard.query import screen
from ct_guard.records import GradedAnswer

from .data import split_by_question

__all__ = ["Graded", "divide", "question_hashes", "read_graded", "set_hashes"]

NEEDS: Needs = (("question", "messages"), ("answer",), ("correct",))

Parts = dict[str, list[GradedAnswer]]
"""Rows by the name of their part."""


@dataclass(frozen=True)
class Graded:
    """The graded rows of a file."""

    path: str
    rows: tuple[GradedAnswer, ...]
    where: tuple[str, ...]
    """File and line of each, as messages name it."""
    ungraded: int
    """Rows without a grade, which are left out."""
    unscored: int
    """Graded rows whose answer is empty or too long: these are never scored, and left out."""

    def remarks(self) -> list[str]:
        said = []
        if self.ungraded:
            said.append(f"{self.path}: {self.ungraded:,} rows have no grade and are left out.")
        if self.unscored:
            said.append(
                f"{self.path}: {self.unscored:,} answers are empty or too long to be scored, and"
                " are left out."
            )
        return said


def read_graded(path: str | Path) -> Graded:
    """Read answers with grades in `correct`.

    Raises InputError, by file, row and field, for a row that cannot be read, a grade that is not a
    boolean, and a file without grades.
    """
    rows, where = [], []
    ungraded = unscored = 0
    for row in open_rows(path, NEEDS):
        grade = correct_of(row)
        if isinstance(grade, Rejected):
            raise InputError(f"{grade.message}: correct it, or leave it empty where unknown")
        if grade is None:
            ungraded += 1
            continue
        item = question_answer(row)
        if isinstance(item, Rejected):
            raise InputError(f"{item.message}: correct or remove the row")
        if screen(item, refusals=False) != "ok":
            unscored += 1
            continue
        rows.append(GradedAnswer(qa=item, correct=grade))
        where.append(row.where)
    if not rows:
        raise InputError(
            f"{path}: no row has an answer and a grade in 'correct' (true or false): grade the"
            " answers first (ct-guard grade)"
        )
    return Graded(str(path), tuple(rows), tuple(where), ungraded, unscored)


def divide(
    source: Graded, given: Mapping[str, Graded], drawn: Mapping[str, float], *, seed: int = 0
) -> Parts:
    """The parts of a run: `tuning` and, of other questions, those `given` as files and those to be
    `drawn` from the source, by their shares of its questions.

    Raises InputError where two files share a question, TuningError where a part has not both right
    and wrong answers.
    """
    files = {"tuning": source, **given}
    seen: dict[str, tuple[str, str]] = {}
    for graded in files.values():
        for row, where in zip(graded.rows, graded.where, strict=True):
            key = row.qa.question_key()
            path, first = seen.setdefault(key, (graded.path, where))
            if path != graded.path:
                raise InputError(
                    f"{where}: this question is in {first} too: all answers to a question belong"
                    " in one file, or it would be judged by rows that it was tuned on"
                )
    shares = {"tuning": 1.0 - sum(drawn.values()), **drawn}
    parts = split_by_question(source.rows, shares, seed)
    parts |= {name: list(graded.rows) for name, graded in given.items()}
    for name, rows in parts.items():
        right = sum(row.correct for row in rows)
        if not 0 < right < len(rows):
            raise TuningError(
                f"{files.get(name, source).path}: the part '{name}' has {len(rows):,} rows,"
                f" {right:,} of them right: it needs right and wrong answers; grade more questions"
            )
    return parts


def set_hashes(parts: Parts) -> dict[str, str]:
    """One hash for the questions of each part."""
    return {name: set_hash(row.qa.question_key() for row in rows) for name, rows in parts.items()}


def question_hashes(parts: Parts) -> dict[str, frozenset[str]]:
    """A short hash for every question, by part."""
    return {
        name: frozenset(question_hash(row.qa.question_key()) for row in rows)
        for name, rows in parts.items()
    }
