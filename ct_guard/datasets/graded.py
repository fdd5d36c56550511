"""Graded files read back: the answers that carry a grade."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ct_guard.errors import InputError
from ct_guard.fields.rows import FIELDS_CORRECT, by_path, with_text
from ct_guard.files import (
    Needs,
    Rejected,
    Row,
    Shape,
    check_beginning,
    correct_of,
    open_rows,
    question_answer,
)
from ct_guard.query import screen
from ct_guard.records import GradedAnswer

__all__ = ["Graded", "read_graded"]

NEEDS: Needs = (("question", "messages"), ("answer",), ("correct",))


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
    """Graded rows that are empty, too long or forged: these are never scored, and left out."""

    def remarks(self) -> list[str]:
        said = []
        if self.ungraded:
            said.append(f"{self.path}: {self.ungraded:,} rows have no grade and are left out.")
        if self.unscored:
            said.append(
                f"{self.path}: {self.unscored:,} answers are empty, too long or forged, and are"
                " left out: they are never scored."
            )
        return said


def read_graded(
    path: str | Path,
    columns: Collection[str] = (),
    shape: Shape | None = None,
    *,
    fields: bool = False,
) -> Graded:
    """Read answers with grades in `correct`, and what the rows hold in other `columns`; in a file
    of another `shape` than ours as that says. With `fields` also the grades of fields
    (`fields_correct`), where a row has some.

    Raises InputError, by file, row and field, for a row that cannot be read, a grade that is not a
    boolean, and a file without grades, or without those of fields where they are asked for.
    """
    if shape is not None:
        check_beginning(path, NEEDS, shape)
    rows, where = [], []
    ungraded = unscored = 0
    for row in open_rows(path, NEEDS, shape):
        grade = correct_of(row)
        if isinstance(grade, Rejected):
            raise InputError(f"{grade.message}: correct it, or leave it empty where unknown")
        if grade is None:
            ungraded += 1
            continue
        by_field = _of_fields(row) if fields else None
        item = question_answer(with_text(row, "answer") if fields else row, columns)
        if isinstance(item, Rejected):
            raise InputError(f"{item.message}: correct or remove the row")
        if screen(item, refusals=False) != "ok":
            unscored += 1
            continue
        rows.append(GradedAnswer(qa=item, correct=grade, fields=by_field))
        where.append(row.where)
    if not rows:
        raise InputError(
            f"{path}: no row has an answer and a grade in 'correct' (true or false): grade the"
            " answers first (ct-guard grade)"
        )
    if fields and not any(row.fields for row in rows):
        raise InputError(
            f"{path}: no row has grades of its fields ('{FIELDS_CORRECT}'): grade them first"
            " (ct-guard grade --fields)"
        )
    return Graded(str(path), tuple(rows), tuple(where), ungraded, unscored)


def _of_fields(row: Row) -> dict[str, bool] | None:
    grades = by_path(row, FIELDS_CORRECT)
    if grades is None:
        return None
    for path, right in grades.items():
        if not isinstance(right, bool):
            raise InputError(
                f"{row.where}: field '{FIELDS_CORRECT}', {path}: {right!r} is neither true nor"
                " false: correct it, or leave it out where unknown"
            )
    return dict(grades)
