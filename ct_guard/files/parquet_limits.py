"""How much a Parquet file unpacks to, before it does: a kilobyte can stand for gigabytes, by one
long list or by one long value that every row repeats."""

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BATCH_BYTES", "BATCH_ROWS", "heaviest", "repeated_columns", "too_large"]

BATCH_BYTES = 1 << 28
"""Most bytes that the rows of one batch unpack to."""
BATCH_ROWS = 64
TRIAL_BYTES = 1 << 29
"""Memory of a first reading."""
_TRIAL = Path(__file__).with_name("parquet_trial.py")


def too_large(path: str, metadata: Any) -> str | None:
    """What a first look in a process of its own, with bounded memory, says against reading the
    file: that a row, on average or one of many, takes all of its bytes, or that the footer is
    damaged in a way that ends whoever looks at it. Each file is looked at once, and only one that
    has lists, or more in a group of rows than a batch, or its rows, may have."""
    from .parquet_trial import ROW_BYTES

    schema = metadata.schema
    lists = any(schema.column(at).max_repetition_level for at in range(len(schema)))
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    if not lists and all(
        8 * group.num_rows <= BATCH_BYTES
        and group.total_byte_size <= min(BATCH_BYTES, max(group.num_rows, 1) * ROW_BYTES)
        for group in groups
    ):
        return None
    here = os.stat(path)
    return _tried(path, (here.st_size, here.st_mtime_ns, here.st_ino))


@lru_cache(maxsize=64)
def _tried(path: str, identity: object) -> str | None:
    from .parquet_trial import TOO_LARGE

    limits = map(str, (BATCH_ROWS, TRIAL_BYTES, BATCH_BYTES))
    command = [sys.executable, "-P", str(_TRIAL), os.path.abspath(path), *limits]
    plain = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=plain, capture_output=True, text=True, check=False)  # noqa: S603
    said = [json.loads(line) for line in done.stdout.splitlines()]
    if said and "reason" in said[-1]:
        return f"{said[-1]['reason']}: leave out what is so large"
    if done.returncode != TOO_LARGE and done.returncode >= 0:
        return None  # read, or damaged: whoever reads it says so
    if not said:
        return "what it says of its columns is damaged: write it again"
    column, read = said[-1]["column"], said[-1]["read"]
    return (
        f"a row of {read + 1:,} to {read + BATCH_ROWS:,} is too large in column '{column}': leave"
        " out what is so large"
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
