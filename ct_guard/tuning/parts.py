"""The parts that graded rows are divided into for tuning, by question."""

from collections.abc import Mapping

from ct_guard.datasets import Graded
from ct_guard.errors import InputError, TuningError
from ct_guard.records import GradedAnswer
from ct_guard.store import question_hash, set_hash

from .data import split_by_question

__all__ = ["divide", "question_hashes", "set_hashes"]

Parts = dict[str, list[GradedAnswer]]
"""Rows by the name of their part."""


def divide(
    source: Graded, given: Mapping[str, Graded], drawn: Mapping[str, float], *, seed: int = 0
) -> Parts:
    """The parts of a run: `tuning` and, of other questions, those `given` as files and those to be
    `drawn` from the source, by their shares of its questions.

    Raises InputError where two parts share a question, TuningError where a part has not both right
    and wrong answers.
    """
    files = {"tuning": source, **given}
    seen: dict[str, tuple[str, str]] = {}
    for part, graded in files.items():
        for row, where in zip(graded.rows, graded.where, strict=True):
            key = row.qa.question_key()
            other, first = seen.setdefault(key, (part, where))
            if other != part:
                raise InputError(
                    f"{where}: this question, for the part '{part}', is in {first} for"
                    f" '{other}' too: all answers to a question belong in one part, or it would be"
                    " judged by rows that it was tuned on"
                )
    shares = {"tuning": 1.0 - sum(drawn.values()), **drawn}
    parts = split_by_question(source.rows, shares, seed)
    parts |= {name: list(graded.rows) for name, graded in given.items()}
    for name, rows in parts.items():
        right = sum(row.correct for row in rows)
        if len({grade for row in rows for grade in row.grades}) < 2:
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
