"""The answers that a page shows in clear: those that an estimator is furthest off about, and a
sample of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ct_guard.evaluation import Scored

from .document import script_json
from .tally import Floats

__all__ = ["Examples", "examples"]

QUESTION, ANSWER, OTHER = 600, 600, 120
"""Characters that are shown of each text, at most."""
BUDGET = 700_000
"""Bytes that they may take in the file."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Examples:
    """Rows as records, and by estimator the places in `rows` of what stands out."""

    rows: list[Record]
    mistakes: list[list[int]]
    """Wrong answers, the most confident first."""
    doubted: list[list[int]]
    """Right answers, the least confident first."""
    sample: list[int]
    each: int
    """So many of each kind are shown, at most."""


def examples(scored: Scored, columns: Sequence[Floats], most: int, *, seed: int = 0) -> Examples:
    """Rows to show.

    Args:
        scored: n rows.
        columns: P(correct) by every estimator, each of shape (n,).
        most: rows of each kind; fewer where their texts are long.
        seed: of the sample.
    """
    each = min(most, len(scored))
    while True:
        found = _chosen(scored, columns, each, seed)
        if each <= 1 or len(script_json(found.rows)) <= BUDGET:
            return found
        each = each * 2 // 3


def _chosen(scored: Scored, columns: Sequence[Floats], each: int, seed: int) -> Examples:
    wrong, right = np.flatnonzero(~scored.correct), np.flatnonzero(scored.correct)
    mistakes = [wrong[np.argsort(-p[wrong], kind="stable")[:each]] for p in columns]
    doubted = [right[np.argsort(p[right], kind="stable")[:each]] for p in columns]
    sample = np.sort(np.random.default_rng(seed).permutation(len(scored))[:each])
    kept = np.unique(np.concatenate([*mistakes, *doubted, sample]))
    place = {int(row): at for at, row in enumerate(kept)}
    return Examples(
        [_record(scored, columns, int(row)) for row in kept],
        [[place[int(row)] for row in some] for some in mistakes],
        [[place[int(row)] for row in some] for some in doubted],
        [place[int(row)] for row in sample],
        each,
    )


def _record(scored: Scored, columns: Sequence[Floats], at: int) -> Record:
    row = scored.graded[at]
    values = zip(scored.kept, row.values, strict=True)
    return {
        "question": _cut(scored.asked[row.question], QUESTION),
        "answer": _cut(row.answer, ANSWER),
        "correct": row.correct,
        "p": [round(float(p[at]), 6) for p in columns],
        "id": None if row.id is None else _cut(row.id, OTHER),
        "model": None if row.model is None else _cut(row.model, OTHER),
        "where": _cut(row.where, OTHER),
        "values": {name: _cut(value, OTHER) for name, value in values},
    }


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[:most]}… ({len(text) - most:,} characters more)"
