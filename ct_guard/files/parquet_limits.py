"""How much a Parquet file unpacks to, before it does: a kilobyte can stand for gigabytes, by one
long list or by one long value that every row repeats."""

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BATCH_BYTES", "BATCH_ROWS", "heaviest", "packed", "repeated_columns", "too_large"]

BATCH_BYTES = 1 << 28
"""Most bytes that the rows of one batch unpack to."""
BATCH_ROWS = 64
TRIAL_BYTES = 1 << 29
"""Memory of a first reading."""
_ROW_BYTES = 1 << 26
_ROW_VALUES = 1 << 20
"""Bytes and values of a row, at most, on average over a row group."""
_TRIAL = Path(__file__).with_name("parquet_trial.py")


def packed(metadata: Any) -> str | None:
    """What the footer says that no file of rows would: a reason to read no further."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        rows = max(group.num_rows, 1)
        for at in range(group.num_columns):
            column = group.column(at)
            if column.num_values > rows * _ROW_VALUES:
                count = f"{column.num_values:,} values in {rows:,} rows"
                return f"column '{column.path_in_schema}' has {count}"
            if column.total_uncompressed_size > rows * _ROW_BYTES:
                size = column.total_uncompressed_size >> 20
                return f"column '{column.path_in_schema}' has {size:,} MiB in {rows:,} rows"
    return None


def too_large(path: str, metadata: Any) -> str | None:
    """What a first reading in bounded memory says that the footer does not: that one of a group's
    many rows takes all of its bytes. Only columns that have so many are read, each file once."""
    columns = {
        column.path_in_schema
        for number in range(metadata.num_row_groups)
        for group in [metadata.row_group(number)]
        for column in map(group.column, range(group.num_columns))
        if max(8 * column.num_values, column.total_uncompressed_size) > BATCH_BYTES
    }
    here = os.stat(path)
    return _tried(path, tuple(sorted(columns)), (here.st_size, here.st_mtime_ns, here.st_ino))


@lru_cache(maxsize=64)
def _tried(path: str, columns: tuple[str, ...], identity: object) -> str | None:
    if not columns:
        return None
    from .parquet_trial import TOO_LARGE

    limits = (str(BATCH_ROWS), str(TRIAL_BYTES))
    command = [sys.executable, "-P", str(_TRIAL), os.path.abspath(path), *limits, *columns]
    plain = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=plain, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != TOO_LARGE and done.returncode >= 0:
        return None  # read, or damaged: whoever reads it says so
    said = done.stdout.splitlines()[-1:]
    number, read = map(int, said[0].split()) if said else (0, 0)
    return (
        f"a row of {read + 1:,} to {read + BATCH_ROWS:,} is too large in column '{columns[number]}'"
    )


def repeated_columns(metadata: Any) -> list[str]:
    """Paths of the columns of texts and bytes. Read as references to their different values they
    take no more memory than the file says, however often a value is repeated."""
    schema = metadata.schema
    columns = (schema.column(at) for at in range(len(schema)))
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]


class Heaviest(NamedTuple):
    """What is too large in a batch."""

    size: int
    """Bytes of the whole batch as values, about."""
    row: int
    """Of the cell that takes most: its index in the batch."""
    column: str


def heaviest(batch: Any) -> Heaviest | None:
    """What is too large in a batch of Arrow columns; None: nothing."""
    weights = [_weights(column) for column in batch.columns]
    size = int(sum(column.sum() for column in weights))
    if size <= BATCH_BYTES:
        return None
    most = max(range(len(weights)), key=lambda at: float(weights[at].max()))
    return Heaviest(size, int(weights[most].argmax()), batch.schema.names[most])


def _weights(array: Any) -> NDArray[np.float64]:
    """Bytes of each element of an Arrow array, about; of a null as of any other."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    kinds, kind = pa.types, array.type
    found: Any = np.full(len(array), 8.0)
    if kinds.is_dictionary(kind):
        known = np.append(_weights(array.dictionary), 8.0)  # the last stands for null
        places = array.indices.fill_null(len(array.dictionary)).to_numpy(zero_copy_only=False)
        found = known[places]
    elif kinds.is_map(kind):
        for side in (array.keys, array.items):
            found = found + _weights(pa.ListArray.from_arrays(array.offsets, side))
    elif kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
        if 16 * lengths.sum() > BATCH_BYTES:  # so much at least: what is inside need not be known
            return np.asarray(found + 16.0 * lengths, np.float64)
        parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        parts = _weights(array.flatten()) + 8.0
        found = found + np.bincount(parents, parts, minlength=len(array))
    elif kinds.is_struct(kind):
        for part in array.flatten():
            found = found + _weights(part)
    elif any(of(kind) for of in (kinds.is_string, kinds.is_binary, kinds.is_large_string,
                                 kinds.is_large_binary)):  # fmt: skip
        found = found + pc.binary_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray(found, np.float64)
