"""Run as a script, apart from everything else: look at what the footer of a Parquet file says of
its columns, and read the heavy ones in little memory.

    python -P parquet_trial.py FILE ROWS BYTES HEAVY

Arrow ends the process where the footer of a damaged file contradicts itself about a column, and
where memory gives out. Prints JSON, a line a step: `{"reason": …}` of a file that is read no
further; else a column and how many of its rows are read, batch by batch. Ends with status 0 where
all were, and with `TOO_LARGE`, or a signal, where a batch took more than BYTES beside what the
libraries take; HEAVY are the bytes from which on a column is read.
"""

import json
import os
import sys
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]

TOO_LARGE = 3
ROW_BYTES = 1 << 26
ROW_VALUES = 1 << 20
"""Bytes and values of a row, at most, on average over a row group."""


def tell(**said: object) -> None:
    print(json.dumps(said), flush=True)  # noqa: T201


def limit(memory: int) -> None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))


def packed(rows: int, column: Any) -> str | None:
    """What the footer says of a group's column that no file of rows would."""
    if column.num_values > rows * ROW_VALUES:
        return f"has {column.num_values:,} values in {rows:,} rows"
    if column.total_uncompressed_size > rows * ROW_BYTES:
        return f"has {column.total_uncompressed_size >> 20:,} MiB in {rows:,} rows"
    return None


def main(path: str, rows: int, memory: int, heavy: int) -> None:
    metadata = pq.read_metadata(path)
    kinds = {
        column.path: column.physical_type
        for column in map(metadata.schema.column, range(len(metadata.schema)))
    }
    large: dict[str, None] = {}
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            if reason := packed(max(group.num_rows, 1), column):
                tell(reason=f"column '{column.path_in_schema}' {reason}")
                return
            if max(8 * column.num_values, column.total_uncompressed_size) > heavy:
                large[column.path_in_schema] = None
    limit(memory)
    for name in large:
        read = 0
        texts = [name] if kinds[name] == "BYTE_ARRAY" else None  # as its reader has them
        tell(column=name, read=read)
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            for batch in file.iter_batches(rows, columns=[name], use_threads=False):
                read += batch.num_rows
                tell(column=name, read=read)


if __name__ == "__main__":
    try:
        main(sys.argv[1], *map(int, sys.argv[2:]))
    except MemoryError:
        os._exit(TOO_LARGE)
