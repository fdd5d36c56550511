"""How much a Parquet file unpacks to, before it does: a kilobyte can stand for gigabytes, by one
long list or by one long value that every row repeats."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BATCH_BYTES", "packed", "repeated_columns", "unpacked"]

BATCH_BYTES = 1 << 28
"""Most bytes that the rows of one batch unpack to."""
_ROW_BYTES = 1 << 26
_ROW_VALUES = 1 << 20
"""Bytes and values of a row, at most, on average over a row group."""


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


def repeated_columns(metadata: Any) -> list[str]:
    """Paths of the columns of texts and bytes. Read as references to their different values they
    take no more memory than the file says, however often a value is repeated."""
    schema = metadata.schema
    columns = (schema.column(at) for at in range(len(schema)))
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]


def unpacked(batch: Any) -> int:
    """Bytes that a batch of Arrow columns takes as values, about."""
    return int(sum(_weights(column).sum() for column in batch.columns))


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
