"""Run as a script, apart from everything else: read columns of a Parquet file in little memory.

    python -P parquet_trial.py FILE ROWS BYTES COLUMN…

Prints the number of a column and how many of its rows are read, batch by batch. Ends with status 0
where all were, and with `TOO_LARGE`, or a signal, where a batch took more than `BYTES` beside what
the libraries take.
"""

import os
import sys

import pyarrow.parquet as pq  # type: ignore[import-untyped]

TOO_LARGE = 3


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


def main(path: str, rows: int, memory: int, columns: list[str]) -> None:
    schema = pq.read_metadata(path).schema
    kinds = {column.path: column.physical_type for column in map(schema.column, range(len(schema)))}
    limit(memory)
    for number, column in enumerate(columns):
        read = 0
        texts = [column] if kinds[column] == "BYTE_ARRAY" else None  # as its reader has them
        print(number, read, flush=True)  # noqa: T201
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            for batch in file.iter_batches(rows, columns=[column], use_threads=False):
                read += batch.num_rows
                print(number, read, flush=True)  # noqa: T201


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    except MemoryError:
        os._exit(TOO_LARGE)
