"""Reading rows, whatever the format."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice

from . import delimited, jsonl, parquet
from .document import is_document
from .paths import STDIO, StrPath, format_of
from .rows import SCORED, Needs, Row, check_needs
from .shape import Shape, shape_hint

__all__ = ["check_beginning", "columns_of", "count_rows", "open_rows"]

BEGINNING = 100
"""Rows of a JSONL file that speak for all."""

_READ = {"jsonl": jsonl.read, "csv": delimited.read, "parquet": parquet.read}
_COUNT = {"jsonl": jsonl.count, "csv": delimited.count, "parquet": parquet.count}


def open_rows(path: StrPath, needs: Needs = SCORED, shape: Shape | None = None) -> Iterator[Row]:
    """The rows of a `.jsonl`, `.ndjson`, `.csv` or `.parquet` file, or of JSONL on standard input
    (`-`), one at a time in constant memory; the first three may be packed (`.gz`, `.zst`). A row
    that cannot be read comes with its `error`.

    With a `shape` rows of other tools come as rows of ours, and a `.json` document is read, too.

    Raises InputError, already here rather than at the first row, for a file that cannot be read or
    declares its columns and lacks one that it `needs`, and MissingExtraError for Parquet without
    pyarrow.
    """
    if shape is not None and shape.changes(path):
        return shape.rows(path, needs, _read)
    columns = columns_of(path)
    if columns or format_of(path) == "parquet":
        check_needs(os.fspath(path), columns, needs, _hint(columns, shape))
    return _read(path)


def _read(path: StrPath) -> Iterator[Row]:
    return _READ[format_of(path)](path)


def _hint(columns: Iterable[str], shape: Shape | None) -> str:
    return "" if shape is None else shape_hint(columns)


def check_beginning(path: StrPath, needs: Needs = SCORED, shape: Shape | None = None) -> None:
    """Raises InputError for a JSONL file of another tool's: none of its first `BEGINNING` rows has
    a column that it `needs`, nor `messages`, which hold question and answer."""
    if (shape is not None and shape.changes(path)) or not os.path.isfile(path):
        return  # a shape looks by itself, and a pipe can be read once only
    if format_of(path) != "jsonl":
        return  # the other formats declare their columns
    rows = [row.fields for row in islice(jsonl.read(path), BEGINNING) if row.error is None]
    found = dict.fromkeys(name for fields in rows for name in fields)
    if found and "messages" not in found:
        check_needs(os.fspath(path), found, needs, _hint(found, shape))


def count_rows(path: StrPath) -> int | None:
    """About how many rows the file has, for a progress bar; None for standard input and for one
    JSON document.

    CSV and Parquet: exact; JSONL: its lines, of which some may be blank.
    """
    if os.fspath(path) == STDIO or is_document(path):
        return None
    return _COUNT[format_of(path)](path)


def columns_of(path: StrPath) -> tuple[str, ...]:
    """The columns that the file declares; none for JSON. Raises as `open_rows`."""
    if is_document(path):
        return ()
    match format_of(path):
        case "csv":
            return delimited.header(path)
        case "parquet":
            return parquet.header(path)
        case "jsonl":
            return jsonl.header(path)
