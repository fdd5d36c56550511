"""The rounds in which the inputs of a guarded chain are asked and judged, many at once."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from .assess import Case, Scores
from .rows import Chain, Row

__all__ = ["by_chain", "decide", "hear", "waiting"]


def by_chain(rows: Sequence[Row]) -> list[tuple[Chain, list[Row]]]:
    """Who is asked in this round, and by which rows; those that nobody hears by themselves."""
    groups: dict[tuple[int, bool], tuple[Chain, list[Row]]] = {}
    for row in rows:
        if row.chain is not None:
            groups.setdefault((id(row.chain), row.unheard), (row.chain, []))[1].append(row)
    return list(groups.values())


def hear(rows: Sequence[Row], outputs: Sequence[Any]) -> None:
    """The outputs or errors of a chain, row by row, each as often as it was asked."""
    rest = iter(outputs)
    for row in rows:
        row.answered(list(islice(rest, row.times)))


def waiting(rows: Sequence[Row]) -> list[tuple[Row, Case]]:
    """The answers to assess now."""
    return [(row, row.case) for row in rows if row.case is not None]


def decide(cases: Sequence[tuple[Row, Case]], scored: Sequence[Scores | Exception]) -> None:
    """The scores of these cases, in order: each row goes on as its policy says."""
    for (row, _), scores in zip(cases, scored, strict=True):
        row.scored(scores)
