"""Which rows a run reads: of which files, and of these which."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from ct_guard.errors import FieldError
from ct_guard.files import Row, Shape, check_beginning, count_rows, open_rows
from ct_guard.files.paths import STDIO

__all__ = ["Part", "Reading", "select"]


@dataclass(frozen=True)
class Part:
    """Rows of one file."""

    source: str
    chosen: range | tuple[int, ...] | None = None
    """Which of them, counted from 0 and ascending; None: all."""

    def rows(self, shape: Shape | None) -> Iterator[Row]:
        rows = open_rows(self.source, shape=shape)
        if self.chosen is None:
            return rows
        if isinstance(self.chosen, range):
            return islice(rows, len(self.chosen))
        return self._picked(rows, self.chosen)

    @staticmethod
    def _picked(rows: Iterator[Row], chosen: Sequence[int]) -> Iterator[Row]:
        at = 0
        for wanted in chosen:
            row = next(islice(rows, wanted - at, None), None)
            if row is None:
                return
            at = wanted + 1
            yield row


@dataclass(frozen=True)
class Reading:
    """The rows of files one after the other, in constant memory; it can travel to other machines
    that see the same files."""

    parts: tuple[Part, ...]
    shape: Shape | None = None

    @classmethod
    def of(cls, *sources: str, shape: Shape | None = None) -> "Reading":
        """All rows of files."""
        return cls(tuple(map(Part, sources)), shape)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(part.source for part in self.parts)

    @property
    def settings(self) -> dict[str, Any]:
        """Which rows are chosen, as a JSON value that tells one choice from another."""
        chosen = [part.chosen for part in self.parts]
        if all(one is None for one in chosen):
            return {}
        return {"rows": hashlib.sha256(repr(chosen).encode()).hexdigest()[:16]}

    @property
    def reshaped(self) -> bool:
        """Whether rows come in another shape than they are written in."""
        shape = self.shape
        return shape is not None and any(shape.changes(source) for source in self.sources)

    def check(self) -> None:
        """Raises InputError for a file that cannot be read or lacks a column."""
        for source in self.sources:
            open_rows(source, shape=self.shape)
            check_beginning(source, shape=self.shape)

    def rows(self) -> Iterator[Row]:
        for part in self.parts:
            yield from part.rows(self.shape)

    def about(self) -> int | None:
        """About how many rows there are, for a progress bar; None where that is not known."""
        counts = [
            len(part.chosen) if part.chosen is not None else count_rows(part.source)
            for part in self.parts
        ]
        return None if None in counts else sum(count or 0 for count in counts)


def select(
    reading: Reading, *, limit: int | None = None, sample: int | None = None, seed: int = 0
) -> Reading:
    """Of the rows in all files together the first `limit`, and of these `sample` at random, every
    one as likely, in their order. The same rows are chosen for the same files and seed.

    Raises FieldError for a sample of a pipe, which can be read only once.
    """
    if limit is None and sample is None:
        return reading
    if STDIO in reading.sources:
        if sample is not None or limit is None:
            raise FieldError("`sample` reads its input twice, which a pipe cannot: name a file")
        return replace(reading, parts=(Part(STDIO, range(limit)),))
    counts = [_counted(part, reading.shape, limit) for part in reading.parts]
    total = sum(counts) if limit is None else min(limit, sum(counts))
    drawn: Sequence[int] = range(total)
    if sample is not None and sample < total:
        drawn = sorted(random.Random(seed).sample(drawn, sample))  # noqa: S311
    return replace(reading, parts=tuple(_shared_out(reading.parts, counts, drawn)))


def _counted(part: Part, shape: Shape | None, limit: int | None) -> int:
    """Exactly, unlike `count_rows`: blank lines are no rows."""
    return sum(1 for _ in islice(part.rows(shape), limit))


def _shared_out(
    parts: Sequence[Part], counts: Sequence[int], drawn: Sequence[int]
) -> Iterator[Part]:
    first = at = 0
    for part, count in zip(parts, counts, strict=True):
        end = at
        while end < len(drawn) and drawn[end] < first + count:
            end += 1
        mine = drawn[at:end]
        if isinstance(mine, range):
            yield replace(part, chosen=range(len(mine)))
        else:
            yield replace(part, chosen=tuple(number - first for number in mine))
        first, at = first + count, end
