"""Writing rows with results, whatever the format: complete, or not at all."""

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ct_guard.errors import InputError, OutputExistsError, UsageError

from . import delimited, parquet
from .compression import packing
from .document import is_document
from .jsonl import JsonlWriter
from .paths import STDIO, Sources, StrPath, all_of, format_of
from .reading import columns_of
from .replacing import replacing
from .rows import Row
from .spool import Spool

__all__ = ["RowWriter", "check_output", "open_writer"]


class RowWriter(Protocol):
    """Takes the rows of the output one by one."""

    def write(self, row: Row, results: Mapping[str, Any]) -> None:
        """Adds a row. A result that is missing is null; one that was not declared is a UsageError,
        one that is NaN or infinite a ValueError."""

    def write_all(self, rows: Sequence[Row], results: Sequence[Mapping[str, Any]]) -> None:
        """As `write` of each row with its results, in less time."""


@contextmanager
def open_writer(
    path: StrPath,
    results: Mapping[str, type],
    *,
    source: Sources,
    overwrite: bool = False,
    spreadsheet: bool = False,
    reshaped: bool = False,
    without: Collection[str] = (),
    announce: Callable[[os.stat_result], None] = lambda stat: None,
) -> Iterator[RowWriter]:
    """A writer of the rows of `source`, to be used in a `with` block.

    Args:
        path: the output; its suffix decides the format (`.jsonl.gz` and `.csv.zst` are packed),
            `-` is JSONL on standard output.
        results: the result columns and their types: float, int, bool or str.
        source: the file (or `-`) that the rows come from, or several.
        overwrite: whether an existing output may be replaced.
        spreadsheet: of CSV: text that a spreadsheet would run as a formula gets an apostrophe in
            front. Otherwise every value is written exactly.
        reshaped: whether the rows have another shape than in `source` (`Shape`).
        without: columns of the input that rows come without.
        announce: told the size and time of the file just before it becomes the output.

    Every input column is kept, in its order and before the results; one that has the name of a
    result becomes `input_<name>`. Nested values are JSON text in CSV and Parquet. From one Parquet
    file to Parquet the input columns keep their types and values exactly, and rows must come in
    order.

    The output appears under its name when the block ends without an exception, and not before.
    Raises as `check_output`, and UsageError for a result of another type.
    """
    check_output(path, source=source, overwrite=overwrite)
    _check_types(results)
    if os.fspath(path) == STDIO:
        yield JsonlWriter(sys.stdout.buffer, results)
        sys.stdout.buffer.flush()
        return
    with replacing(Path(path).resolve(), announce) as temporary:
        if format_of(path) == "jsonl":
            with temporary.open("wb") as file, packing(file, path) as stream:
                yield JsonlWriter(stream, results)
        else:
            sources = all_of(source)
            alike = {format_of(path), *map(_format, sources)} == {"parquet"}
            copied = alike and not reshaped and len(sources) == 1
            declared = [] if reshaped else [name for one in sources for name in columns_of(one)]
            columns = [name for name in declared if name not in without]
            with Spool(temporary.parent, columns, results, keep_fields=not copied) as spool:
                yield spool
                if copied:
                    parquet.copy(temporary, spool, results, sources[0], without=without)
                elif format_of(path) == "parquet":
                    parquet.write(temporary, spool, results)
                else:
                    with temporary.open("wb") as file, packing(file, path) as stream:
                        delimited.write(stream, spool, results, spreadsheet=spreadsheet)


def check_output(
    path: StrPath, *, source: Sources, overwrite: bool = False, resumable: bool = False
) -> None:
    """Checks an output before any work is done for it; `resumable` work has another way out.

    Raises InputError where it cannot be written or is the input itself, OutputExistsError where it
    exists and may not be replaced, and MissingExtraError for Parquet without pyarrow.
    """
    if format_of(path) == "parquet":
        parquet.require("writing parquet")
    if os.fspath(path) == STDIO:
        return
    target = Path(path)
    folder = target.resolve().parent
    if target.is_dir():
        raise InputError(f"{target}: is a folder; name a file in it")
    if not folder.is_dir():
        raise InputError(f"{target}: folder {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{target}: folder {folder} cannot be written; check its permissions")
    if target.exists() and any(
        one != STDIO and Path(one).exists() and target.samefile(one) for one in all_of(source)
    ):
        raise InputError(f"{target}: is the input itself; name another output")
    if target.exists() and not overwrite:
        resume = " (with `resume` to go on with an interrupted run to it)" if resumable else ""
        raise OutputExistsError(
            f"{target}: exists; name another output, or use `overwrite`{resume}"
        )


def _format(source: str) -> str:
    return "json" if is_document(source) else format_of(source)


def _check_types(results: Mapping[str, type]) -> None:
    unknown = [name for name, kind in results.items() if kind not in (float, int, bool, str)]
    if unknown:
        raise UsageError(f"result column '{unknown[0]}' must be of type float, int, bool or str")
