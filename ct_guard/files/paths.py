"""Which format a path has, and opening it with errors that say what to do."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from ct_guard.errors import InputError

from .compression import unpacked_name, unpacking

__all__ = [
    "ROW_LIMIT",
    "STDIO",
    "Format",
    "Sources",
    "StrPath",
    "all_of",
    "check_readable",
    "format_of",
    "is_too_long",
    "numbered_lines",
    "opened",
    "suffix_of",
]

StrPath = str | os.PathLike[str]
Sources = StrPath | Sequence[StrPath]
"""A file, or several that are read one after the other."""
Format = Literal["jsonl", "csv", "parquet"]

STDIO = "-"
"""Standard input or output, in JSONL."""

_SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}
_TABLE = ": save it as CSV with commas (.csv)"
_ELSEWHERE = {
    ".eval": ": write it as JSON by inspect log convert --to json, `format` inspect",
    ".tsv": _TABLE,
    ".xls": _TABLE,
    ".xlsx": _TABLE,
    ".ods": _TABLE,
}
"""What other programs write, and the way out."""
ROW_LIMIT = 1 << 24
"""Bytes of one row, at most (16 MiB): what is not text can take twenty times as much in memory."""
_BOM = b"\xef\xbb\xbf"


def all_of(sources: Sources) -> list[str]:
    """The paths of one file or several."""
    several = [sources] if isinstance(sources, (str, os.PathLike)) else sources
    return [os.fspath(path) for path in several]


def format_of(path: StrPath) -> Format:
    """The format that the suffix names, that of packing (`.gz`, `.zst`) aside. Raises InputError
    for any other suffix, and for packed Parquet."""
    if os.fspath(path) == STDIO:
        return "jsonl"
    named = unpacked_name(path)
    suffix = named.suffix.lower()
    if suffix not in _SUFFIXES:
        raise InputError(
            f"{os.fspath(path)}: unknown format '{suffix}'; use {', '.join(_SUFFIXES)}, "
            f"or '{STDIO}' for JSONL on standard input or output{_ELSEWHERE.get(suffix, '')}"
        )
    if suffix == ".parquet" and named != Path(path):
        raise InputError(f"{os.fspath(path)}: Parquet is packed within: unpack the file")
    return _SUFFIXES[suffix]


def suffix_of(path: StrPath) -> str:
    """All that a name says of the format: `.csv.gz`."""
    named = unpacked_name(path)
    return named.suffix + Path(path).name[len(named.name) :]


def check_readable(path: StrPath) -> None:
    """Raises InputError unless `path` is a file that can be opened."""
    if os.fspath(path) != STDIO:
        with opened(path):
            return


@contextmanager
def opened(path: StrPath) -> Iterator[BinaryIO]:
    """What a file holds, for reading bytes: unpacked where it is packed. Raises InputError where it
    cannot be opened, and as `unpacking`."""
    try:
        if Path(os.path.realpath(path)).is_fifo():  # every look at it would take what is in it
            raise InputError(
                f"{os.fspath(path)}: is a pipe, which can be read only once: give it on standard"
                f" input ('{STDIO}', < {os.fspath(path)})"
            )
        stream = open(path, "rb")  # noqa: SIM115  only opening is guarded, not the caller's block
    except FileNotFoundError:
        raise InputError(f"{os.fspath(path)}: no such file; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{os.fspath(path)}: is a folder; name a file in it") from None
    except OSError as error:
        raise InputError(
            f"{os.fspath(path)}: cannot be read: {error.strerror}; check its permissions and links"
        ) from None
    except ValueError:  # with a NUL in it
        raise InputError(f"{os.fspath(path)!r}: is no name of a file") from None
    with stream:
        yield unpacking(stream, path)


def numbered_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines as `\\n` ends them, with their ends, from number 1, without a byte order mark.

    Of a line of more than `ROW_LIMIT` bytes one byte more than that comes (`is_too_long`), and the
    rest is passed over: no line can take all memory.
    """
    number = 0
    while line := stream.readline(ROW_LIMIT + 1):
        number += 1
        if is_too_long(line):
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = stream.readline(ROW_LIMIT)
        yield number, line.removeprefix(_BOM)


def is_too_long(line: bytes) -> bool:
    """Whether more than `ROW_LIMIT` bytes stand in one line."""
    return len(line) > ROW_LIMIT
