"""What a run over a file asks of whoever scores its rows."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from ct_guard.files import Row

from ..runs.assessing import About, Result
from ..runs.reading import Reading

__all__ = ["Engine", "Scored"]


class Scored(NamedTuple):
    """Rows that follow one another, and their results."""

    rows: list[Row]
    results: list[Result]


class Engine(Protocol):
    """Scores rows with one estimator and one policy. It takes rows as fast as they are scored and
    no faster, so that few of them are in memory."""

    @property
    def about(self) -> About:
        """Of its guard."""
        ...

    def scored(self, reading: Reading, rows: Iterator[Row], done: int) -> Iterator[Scored]:
        """The results of all rows in their order. `rows` are those of `reading` behind the first
        `done`, which are scored already."""
        ...
