"""CSV: comma-separated, quoted as in RFC 4180, with a header."""

import csv
import io
import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from ct_guard.errors import InputError

from .columns import cell, harmless, input_names
from .dialect import check_separator
from .paths import ROW_LIMIT, StrPath, numbered_lines, opened
from .rows import Row, check_columns, decoded_row, raw_row, show_bytes
from .spool import Spool

__all__ = ["count", "header", "read", "write"]

CELL_LIMIT = ROW_LIMIT
"""Characters in one cell, at most: bounds the memory that a quote never closed can take."""
_TOO_LONG = f"a row of more than {ROW_LIMIT >> 20} MiB"
_CR = "a line end CR stands in it, which no other line has"
_KEPT = 1000
"""Characters that are kept of a record that is too long."""


@dataclass(frozen=True, slots=True)
class _Record:
    number: int
    cells: list[str]
    text: str
    problem: str | None = None


class _Lines:
    """Feeds csv.reader, and remembers the lines of the record at hand to feed them again."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self._again: deque[tuple[int, str]] = deque()
        self.taken: list[tuple[int, str]] = []
        self._size = 0

    def begin_record(self) -> None:
        self.taken.clear()
        self._size = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        number, line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append((number, line))
        self._size += len(line)
        if self._size > ROW_LIMIT:
            raise csv.Error(_TOO_LONG)
        return line

    def give_back_all_but_first(self) -> None:
        self._again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def header(path: StrPath) -> tuple[str, ...]:
    """The column names, without unnamed ones at the end; none for an empty file. Raises InputError
    where they cannot be used, or the file is no CSV."""
    first = next(_records(path), None)
    if first is None:
        return ()
    source = os.fspath(path)
    check_separator(source, first.text.encode("utf-8", "surrogateescape"), len(first.cells))
    if first.problem:
        raise InputError(f"{source}, line {first.number}: the header is not CSV: {first.problem}")
    columns = _named(first.cells)
    check_columns(source, columns)
    return columns


def _named(cells: list[str]) -> tuple[str, ...]:
    """The names in a header. Spreadsheets write empty ones for columns that were once in use."""
    names = list(map(show_bytes, cells))
    while len(names) > 1 and not names[-1].strip():
        names.pop()
    return tuple(names)


def read(path: StrPath) -> Iterator[Row]:
    """The rows of a file; every value is the text of its cell. Blank lines, and those of empty
    cells, are skipped but counted."""
    columns = header(path)
    records = _records(path)
    next(records, None)
    for record in records:
        yield _row(record, columns, f"{os.fspath(path)}, line {record.number}")


def count(path: StrPath) -> int:
    """Rows of the file."""
    return max(0, sum(1 for _ in _records(path)) - 1)


def write(
    stream: BinaryIO, spool: Spool, results: Mapping[str, type], *, spreadsheet: bool = False
) -> None:
    """Writes the spooled rows: input columns, then `results`. Null is an empty cell. For a
    `spreadsheet`, text that it would run as a formula is made harmless."""

    def written(value: Any) -> str | None:
        text = cell(value)
        return harmless(text) if spreadsheet and text is not None else text

    names = input_names(spool.columns, results)
    # The dialect's \r\n between records makes csv quote both, so that they survive inside cells.
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    table = csv.writer(text)
    table.writerow(map(written, [*names.values(), *results]))
    for _, fields, values in spool:
        cells = [fields.get(name) for name in names]
        table.writerow(map(written, [*cells, *(values[name] for name in results)]))
    text.detach()  # flushed, and left open to whoever opened it


def _records(path: StrPath) -> Iterator[_Record]:
    # csv knows one limit for the whole process: it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), CELL_LIMIT))
    with opened(path) as stream:
        decoded = (
            (n, line.decode("utf-8", "surrogateescape")) for n, line in numbered_lines(stream)
        )
        lines = _Lines(decoded)
        reader = csv.reader(lines, strict=True)
        while (record := _next_record(reader, lines)) is not None:
            if record.problem or "".join(record.cells).strip():
                yield record


def _next_record(reader: Iterator[list[str]], lines: _Lines) -> _Record | None:
    """A record that is not CSV is given up at its first line, and reading goes on at the next: a
    quote that is never closed must not swallow the rest of the file."""
    lines.begin_record()
    cells: list[str] = []
    problem = None
    try:
        cells = next(reader)
    except StopIteration:
        return None
    except csv.Error as error:
        lines.give_back_all_but_first()
        problem = _CR if str(error).startswith("new-line character") else str(error)
    text = "".join(line for _, line in lines.taken).rstrip("\r\n")
    if problem == _TOO_LONG:
        text = text[:_KEPT]
    return _Record(lines.taken[0][0], cells, text, problem)


def _row(record: _Record, columns: tuple[str, ...], where: str) -> Row:
    problem = record.problem and f"is not CSV: {record.problem}; look for an unbalanced quote"
    cells = record.cells
    while len(cells) > len(columns) and not cells[-1].strip():
        cells = cells[:-1]
    if not problem and len(cells) != len(columns):
        problem = f"has {len(cells)} cells, the header has {len(columns)}"
    if problem:
        return raw_row(record.number, where, show_bytes(record.text), problem)
    return decoded_row(record.number, where, dict(zip(columns, cells, strict=True)))
