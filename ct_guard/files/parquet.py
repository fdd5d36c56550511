"""Parquet, through pyarrow, which is loaded when the first such file is met."""

import base64
import datetime
import math
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ct_guard.errors import InputError, MissingExtraError

from .columns import cell, input_names
from .parquet_limits import (
    BATCH_BYTES,
    BATCH_ROWS,
    heaviest,
    repeated_columns,
    too_large,
)
from .paths import StrPath, check_readable
from .rows import USED_COLUMNS, Row, check_columns, decoded_row
from .spool import Spool, Spooled

__all__ = ["copy", "count", "header", "read", "require", "write"]

_GROUP_ROWS = 1 << 16
GROUP_BYTES = 1 << 25


def require(what: str) -> None:
    """Raises MissingExtraError, naming `what`, unless pyarrow is installed."""
    try:
        import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        raise MissingExtraError(what, "parquet") from None


def header(path: StrPath) -> tuple[str, ...]:
    """The column names. Raises InputError where they cannot be used."""
    with _parquet_file(path) as file, _reading(path):
        columns = tuple(file.schema_arrow.names)
    check_columns(os.fspath(path), columns)
    return columns


def read(path: StrPath) -> Iterator[Row]:
    """The rows of a file, with what JSON does not know made plain: dates in ISO format, decimals
    as text, bytes in Base64 (as UTF-8 text in the columns that are scored), NaN as null."""
    columns = header(path)
    number = 0
    for batch in _batches(path, by_reference=True):
        with _reading(path):
            heavy = heaviest(batch)
        if heavy is not None:
            raise InputError(
                f"{os.fspath(path)}: rows {number + 1:,} to {number + batch.num_rows:,} unpack to"
                f" {heavy.size >> 20:,} MiB, more than {BATCH_BYTES >> 20}, most of it row"
                f" {number + heavy.row + 1:,} in field '{heavy.column}': leave out what is so large"
            )
        with _reading(path):
            lists = [_cells(name, batch.column(i)) for i, name in enumerate(columns)]
        for cells in zip(*lists, strict=True):
            number += 1
            fields = dict(zip(columns, cells, strict=True))
            yield decoded_row(number, f"{os.fspath(path)}, row {number}", fields)


def count(path: StrPath) -> int:
    """Rows of the file, from its footer."""
    with _parquet_file(path) as file:
        return int(file.metadata.num_rows)


def write(path: Path, spool: Spool, results: Mapping[str, type]) -> None:
    """Writes the spooled rows: input columns as text, nested ones as JSON text, then `results`
    with the types they are declared with."""
    import pyarrow as pa

    names = input_names(spool.columns, results)
    texts = [pa.field(cell(name), pa.string()) for name in names.values()]
    schema = pa.schema([*texts, *_result_fields(results)])

    def batch(rows: list[Spooled]) -> Any:
        inputs = [pa.array([cell(row[1].get(name)) for row in rows], pa.string()) for name in names]
        return pa.record_batch([*inputs, *_result_arrays(rows, results)], schema=schema)

    _write_batches(path, schema, map(batch, _chunks(spool)))


def copy(
    path: Path,
    spool: Spool,
    results: Mapping[str, type],
    source: StrPath,
    *,
    without: Collection[str] = (),
) -> None:
    """Writes the spooled rows as they stand in `source`, every value and type exactly as there, but
    for the columns `without`, then `results`. Rows are matched by number, which must not descend;
    it may repeat."""
    import pyarrow as pa

    with _parquet_file(source) as file:
        inputs = file.schema_arrow
    kept = [name for name in inputs.names if name not in without]
    names = input_names(kept, results)
    renamed = [inputs.field(name).with_name(names[name]) for name in kept]
    schema = pa.schema([*renamed, *_result_fields(results)], metadata=inputs.metadata)

    def joined() -> Iterator[Any]:
        for batch, first, rows in _matched(_batches(source), spool):
            taken = [row[0] - first for row in rows]
            if taken != list(range(batch.num_rows)):
                batch = batch.take(pa.array(taken, pa.int64()))
            columns = [batch.column(name) for name in kept]
            yield pa.record_batch([*columns, *_result_arrays(rows, results)], schema=schema)

    _write_batches(path, schema, joined())


@contextmanager
def _reading(path: StrPath) -> Iterator[None]:
    """Whatever pyarrow finds wrong in the block is an error of the file."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        raise InputError(_damaged(path, error)) from None


@contextmanager
def _parquet_file(path: StrPath, *, by_reference: bool = False) -> Iterator[Any]:
    """The file, opened; with texts and bytes read as references to their different values if asked
    for."""
    require("reading parquet")
    import pyarrow.parquet as pq

    check_readable(path)
    with _reading(path):
        file = pq.ParquetFile(os.fspath(path))
        _ = file.schema_arrow.names  # read late, and perhaps no text
        if by_reference and (columns := repeated_columns(file.metadata)):
            file.close()
            file = pq.ParquetFile(os.fspath(path), read_dictionary=columns)
    with file:
        if (reason := too_large(os.fspath(path), file.metadata)) is not None:
            raise InputError(f"{os.fspath(path)}: {reason}")
        yield file


def _batches(path: StrPath, *, by_reference: bool = False) -> Iterator[Any]:
    with _parquet_file(path, by_reference=by_reference) as file:
        batches = file.iter_batches(batch_size=BATCH_ROWS)
        while True:
            with _reading(path):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


def _damaged(path: StrPath, error: Exception) -> str:
    reason = " ".join(str(error).split())
    return f"{os.fspath(path)}: is no complete Parquet file, write it again ({reason})"


def _cells(name: str, column: Any) -> list[Any]:
    import pyarrow as pa

    kinds = pa.types
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    bytes_of = (kinds.is_binary, kinds.is_large_binary, kinds.is_fixed_size_binary)
    if (
        any(is_kind(column.type) for is_kind in bytes_of) and name in USED_COLUMNS
    ):  # some writers do not mark text as text
        return [_decoded(scalar) for scalar in column]
    if kinds.is_timestamp(column.type) and column.type.unit == "ns":
        return [_nanoseconds(scalar) for scalar in column]
    try:
        return [_plain(value) for value in column.to_pylist()]
    except (ValueError, OverflowError):
        return [_cell(scalar) for scalar in column]


def _cell(scalar: Any) -> Any:
    """The value of a scalar in a column of which some value has no Python counterpart."""
    import pyarrow as pa

    try:
        return _plain(scalar.as_py())
    except UnicodeDecodeError:
        return _decoded(scalar) if hasattr(scalar, "as_buffer") else repr(scalar.type)
    except (ValueError, OverflowError):
        try:
            return scalar.cast(pa.string()).as_py()
        except pa.ArrowException:
            return repr(scalar.type)


def _nanoseconds(scalar: Any) -> str | None:
    """A point in time that Python has no type for beyond microseconds; the same text whether or not
    pandas, whose type pyarrow would take, is installed."""
    import pyarrow as pa

    try:
        exact = scalar.cast(pa.timestamp("us", scalar.type.tz)).as_py()
    except pa.ArrowInvalid:
        return str(scalar.cast(pa.string()).as_py())
    return None if exact is None else str(exact.isoformat())


def _decoded(scalar: Any) -> str | None:
    buffer = scalar.as_buffer()
    return None if buffer is None else buffer.to_pybytes().decode("utf-8", "surrogateescape")


def _plain(value: Any) -> Any:
    """A Python value from pyarrow as a JSON value."""
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return value if math.isfinite(value) else None if math.isnan(value) else str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case datetime.date() | datetime.time():
            return value.isoformat()
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case _:
            return str(value)


def _result_fields(results: Mapping[str, type]) -> list[Any]:
    import pyarrow as pa

    kinds = {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), str: pa.string()}
    return [pa.field(name, kinds[kind]) for name, kind in results.items()]


def _result_arrays(rows: list[Spooled], results: Mapping[str, type]) -> list[Any]:
    import pyarrow as pa

    arrays = []
    for field in _result_fields(results):
        values = [row[2][field.name] for row in rows]
        if pa.types.is_string(field.type):
            values = [cell(value) for value in values]
        arrays.append(pa.array(values, field.type))
    return arrays


def _chunks(spool: Spool) -> Iterator[list[Spooled]]:
    rows: list[Spooled] = []
    for row in spool:
        rows.append(row)
        if len(rows) == BATCH_ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _matched(batches: Iterator[Any], spool: Spool) -> Iterator[tuple[Any, int, list[Spooled]]]:
    """Each batch with the number of its first row and its spooled rows."""
    rows = iter(spool)
    row = next(rows, None)
    first = 1
    for batch in batches:
        after, mine = first + batch.num_rows, []
        while row is not None and row[0] < after:
            mine.append(row)
            row = next(rows, None)
        yield batch, first, mine
        first = after
    if row is not None:
        raise InputError(
            f"row {row[0]} is no longer in the input; do not change it while it is read"
        )


def _write_batches(path: Path, schema: Any, batches: Iterator[Any]) -> None:
    """Writes row groups of a size that is good to read: of many rows, yet bounded in bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(os.fspath(path), schema) as writer:
        group: list[Any] = []
        rows = size = 0
        for batch in batches:
            group.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows >= _GROUP_ROWS or size >= GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(group, schema))
                group, rows, size = [], 0, 0
        if group:
            writer.write_table(pa.Table.from_batches(group, schema))
