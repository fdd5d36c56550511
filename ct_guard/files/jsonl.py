"""JSON Lines: one object a line."""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, NoReturn

from .columns import input_names, result_values
from .paths import STDIO, StrPath, numbered_lines, opened
from .rows import Row, raw_row
from .untrusted_json import DEPTH, is_too_deep

__all__ = ["JsonlWriter", "count", "encode_line", "read"]

_BLOCK = 1 << 20


def read(path: StrPath) -> Iterator[Row]:
    """The rows of a file, or of standard input. Each line is decoded on its own, so that a broken
    one spoils no other; blank lines are skipped but counted."""
    if os.fspath(path) == STDIO:
        yield from _rows(sys.stdin.buffer, "stdin")
        return
    with opened(path) as stream:
        yield from _rows(stream, os.fspath(path))


def count(path: StrPath) -> int:
    """Lines of the file, blank ones too: quick rather than exact."""
    lines, last = 0, b"\n"
    with opened(path) as stream:
        for block in iter(partial(stream.read, _BLOCK), b""):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


def encode_line(value: Mapping[str, Any]) -> bytes:
    """One line of UTF-8 JSON. A lone surrogate, which UTF-8 cannot hold, makes the line ASCII with
    escapes. Raises ValueError for NaN and infinity."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False).encode() + b"\n"


class JsonlWriter:
    """Writes each row at once. Fields that carry the name of a result are renamed row by row."""

    def __init__(self, stream: BinaryIO, results: Mapping[str, type]) -> None:
        self._stream = stream
        self._results = results

    def write(self, row: Row, results: Mapping[str, Any]) -> None:
        values = result_values(self._results, results)
        names = input_names(row.fields, self._results)
        fields = {names[name]: value for name, value in row.fields.items()}
        self._stream.write(encode_line({**fields, **values}))


def _rows(stream: BinaryIO, source: str) -> Iterator[Row]:
    for number, line in numbered_lines(stream):
        if line.strip():
            yield _row(number, f"{source}, line {number}", line.rstrip(b"\r\n"))


def _row(number: int, where: str, line: bytes) -> Row:
    text = line.decode("utf-8", "backslashreplace")
    try:
        fields = json.loads(line.decode(), parse_constant=_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        return raw_row(number, where, text, f"is not UTF-8 text (byte {error.start + 1})")
    except (ValueError, RecursionError) as error:
        return raw_row(number, where, text, f"is not JSON: {error}")
    if not isinstance(fields, dict):
        return raw_row(number, where, text, "is JSON but not an object {…}")
    if line.count(b"[") + line.count(b"{") > DEPTH and is_too_deep(fields):
        return raw_row(number, where, text, f"is nested more than {DEPTH} deep")
    return Row(number, fields, None, where)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number; write null")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):  # it could be read, but not written again
        raise ValueError(f"number {digits[:20]} is out of range")
    return number
