"""Rows put aside on disk until all of them, and so all columns, are known."""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .columns import result_values
from .rows import Row

__all__ = ["Spool", "Spooled"]

Spooled = tuple[int, dict[str, Any], dict[str, Any]]
"""Row number, fields, results."""


class Spool:
    """Collects rows for a format whose columns must be known before its first row is written.

    The rows lie in an unnamed file in `folder`, so memory stays constant and nothing is left
    behind. `columns` starts with those that the input declares; a row may bring more.
    """

    def __init__(
        self,
        folder: Path,
        columns: Iterable[str],
        results: Mapping[str, type],
        *,
        keep_fields: bool = True,
    ) -> None:
        self._columns = dict.fromkeys(columns)
        self._results = results
        self._keep_fields = keep_fields
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed in __exit__

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, row: Row, results: Mapping[str, Any]) -> None:
        fields = row.fields if self._keep_fields else {}
        self._columns.update(dict.fromkeys(fields))
        values = result_values(self._results, results)
        line = json.dumps([row.number, fields, values], allow_nan=False)
        self._file.write(line.encode() + b"\n")

    def write_all(self, rows: Sequence[Row], results: Sequence[Mapping[str, Any]]) -> None:
        for row, made in zip(rows, results, strict=True):
            self.write(row, made)

    def __iter__(self) -> Iterator[Spooled]:
        """The rows in the order in which they were written."""
        self._file.seek(0)
        for line in self._file:
            number, fields, values = json.loads(line)
            yield number, fields, values
