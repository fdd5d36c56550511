"""JSON Lines: one object a line."""

import json
import math
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any, BinaryIO

from pydantic_core import PydanticSerializationError, from_json, to_json

from ct_guard.errors import InputError

from .columns import input_names, result_values
from .dialect import check_text
from .paths import STDIO, StrPath, check_readable, is_too_long, numbered_lines, opened
from .rows import USED_COLUMNS, Row, overlong_row, raw_row
from .untrusted_json import DEPTH, MOST_VALUES, JsonError, is_too_deep, with_each_name_once

__all__ = ["JsonlWriter", "count", "decode_line", "encode_line", "encode_lines", "header", "read"]

_BLOCK = 1 << 20
_KEY = re.compile(rb'\s*"[^"]*"\s*:')
_OBJECTS_AFTER_CR = re.compile(rb"\}\r+\s*\{")
_HUGE = re.compile(rb"[0-9.][eE]\+?[0-9]{3}|[0-9]{309}")
"""What a number out of range has in it."""
_OBEYED = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that JSON may hold as they are and that a terminal obeys."""


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
    """One line of UTF-8 JSON, see `encode_lines`."""
    return encode_lines((value,))


def encode_lines(values: Sequence[Mapping[str, Any]]) -> bytes:
    """Lines of UTF-8 JSON, which a terminal only shows, one a value. A lone surrogate, which UTF-8
    cannot hold, makes its line ASCII with escapes. Raises ValueError for NaN and infinity.

    What is odd is looked for in all lines at once, which takes a fraction of the time."""
    made = list(map(_json, values))
    lines = b"\n".join([*made, b""])
    if _may_hold_odd_numbers(lines):
        for value, line in zip(values, made, strict=True):
            if _may_hold_odd_numbers(line):
                json.dumps(value, allow_nan=False)
    if not lines.isascii() or b"\x7f" in lines:
        text = _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", lines.decode())
        lines = text.encode()
    return lines


def _json(value: Mapping[str, Any]) -> bytes:
    try:
        return to_json(value)
    except PydanticSerializationError:
        return json.dumps(value, allow_nan=False).encode()


def _may_hold_odd_numbers(lines: bytes) -> bool:
    """The words may also stand in a text."""
    return b"NaN" in lines or b"Infinity" in lines


def decode_line(line: bytes) -> Any:
    """The value that `encode_line` wrote. Raises ValueError for what is no JSON."""
    try:
        return from_json(line, allow_inf_nan=False)
    except ValueError:
        return json.loads(line)  # which knows lone surrogates


class JsonlWriter:
    """Writes rows at once. Fields that carry the name of a result are renamed row by row."""

    def __init__(self, stream: BinaryIO, results: Mapping[str, type]) -> None:
        self._stream = stream
        self._results = results
        self._names = tuple(results)

    def write(self, row: Row, results: Mapping[str, Any]) -> None:
        self.write_all((row,), (results,))

    def write_all(self, rows: Sequence[Row], results: Sequence[Mapping[str, Any]]) -> None:
        written = [self._whole(row.fields, made) for row, made in zip(rows, results, strict=True)]
        self._stream.write(encode_lines(written))

    def _whole(self, fields: dict[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
        """All that stands in the line of a row."""
        in_order = tuple(results) == self._names
        values = results if in_order else result_values(self._results, results)
        if not self._results.keys().isdisjoint(fields):
            names = input_names(fields, self._results)
            fields = {names[name]: value for name, value in fields.items()}
        return {**fields, **values}


def header(path: StrPath) -> tuple[str, ...]:
    """No column is declared. Raises InputError for a file that cannot be opened or is no JSONL,
    which its beginning shows."""
    if os.fspath(path) != STDIO and not os.path.isfile(path):
        check_readable(path)  # what can be read only once is not looked into
    elif os.fspath(path) != STDIO:
        with opened(path) as stream:
            next(_rows(stream, os.fspath(path)), None)
    return ()


def _rows(stream: BinaryIO, source: str) -> Iterator[Row]:
    lines = (numbered for numbered in numbered_lines(stream) if numbered[1].strip())
    first = list(islice(lines, 2))
    if first:
        _check_lines(source, *(line for _, line in first))
    for number, line in chain(first, lines):
        where = f"{source}, line {number}"
        if is_too_long(line):
            yield overlong_row(number, where, line)
        else:
            yield _row(number, where, line)


def _check_lines(source: str, first: bytes, second: bytes = b"") -> None:
    """Raises InputError for what is no JSON Lines as a whole: one error, not one a line."""
    check_text(source, first)
    begins = first.strip()
    if begins.startswith(b"[") or (begins == b"{" and _KEY.match(second)):
        raise InputError(
            f"{source}: is one JSON document, not JSON Lines: write one object {{…}} a line, as"
            " jq -c '.[]' does of a list"
        )
    if _OBJECTS_AFTER_CR.search(first):
        raise InputError(f"{source}: its line ends are CR: save it with line ends LF or CR LF")


def _row(number: int, where: str, line: bytes) -> Row:
    """The row of a line: nearly every one is read by the quick parser, and what it refuses, or
    would take for infinite, by the one that says what is wrong."""
    if len(line) > 2 * MOST_VALUES and line.count(b"[") + line.count(b"{") > MOST_VALUES:
        text = line.rstrip(b"\r\n").decode("utf-8", "backslashreplace")
        return raw_row(number, where, text, f"holds more than {MOST_VALUES:,} lists and objects")
    try:
        fields = from_json(line, allow_inf_nan=False)
    except ValueError:
        return _odd_row(number, where, line)
    if not isinstance(fields, dict):
        return _odd_row(number, where, line)
    kinds = list(map(type, fields.values()))
    if float in kinds:
        for value in fields.values():
            if type(value) is float and not math.isfinite(value):
                return _odd_row(number, where, line)
    texts = kinds.count(str) + len(kinds)
    if list in kinds or dict in kinds:
        if _HUGE.search(line) or _may_be_deep(line):
            return _odd_row(number, where, line)
        texts = _texts_in(fields)
    if _quoted(line) != texts:
        return _odd_row(number, where, line)
    return Row(number, fields, None, where)


def _quoted(line: bytes) -> int | None:
    """How many texts stand in a line, names among them: more than were read, where a name stands
    twice. None where an escape before a quote makes that hard to tell."""
    if b"\\" not in line:
        return line.count(b'"') >> 1
    if b'\\\\"' in line:
        return None
    return (line.count(b'"') - line.count(b'\\"')) >> 1


def _texts_in(value: dict[str, Any] | list[Any]) -> int:
    """Texts, names among them, in a value that is not nested deep."""
    items: Collection[Any] = value.values() if isinstance(value, dict) else value
    kinds = list(map(type, items))
    found = kinds.count(str) + (len(kinds) if isinstance(value, dict) else 0)
    if list in kinds or dict in kinds:
        found += sum(_texts_in(item) for item in items if type(item) in (list, dict))
    return found


def _odd_row(number: int, where: str, line: bytes) -> Row:
    line = line.rstrip(b"\r\n")
    text = line.decode("utf-8", "backslashreplace")
    odd: list[float] = []

    def number_of(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            odd.append(value)
        return value

    try:
        fields = json.loads(
            line.decode(),
            parse_constant=number_of,
            parse_float=number_of,
            object_pairs_hook=with_each_name_once,
        )
    except UnicodeDecodeError as error:
        return raw_row(
            number, where, text, f"is not UTF-8 text (byte {error.start + 1}): save it as UTF-8"
        )
    except JsonError as error:
        return raw_row(number, where, text, str(error))
    except (ValueError, RecursionError) as error:
        return raw_row(number, where, text, f"is not JSON: {error}{_way(error)}")
    if not isinstance(fields, dict):
        return raw_row(number, where, text, "is JSON but not an object {…}")
    if _may_be_deep(line) and is_too_deep(fields):
        return raw_row(number, where, text, f"is nested more than {DEPTH} deep")
    if odd:
        for name in USED_COLUMNS:
            if isinstance(fields.get(name), float) and math.isinf(fields[name]):
                problem = f"field '{name}' is a number out of range; write it as text, or null"
                return raw_row(number, where, text, problem)
        fields = {name: _written(value) for name, value in fields.items()}
    return Row(number, fields, None, where)


def _way(error: Exception) -> str:
    more = str(error).startswith("Extra data")
    return "; write one object a line, and nothing behind it" if more else ""


def _may_be_deep(line: bytes) -> bool:
    return line.count(b"[") + line.count(b"{") > DEPTH


def _written(value: Any) -> Any:
    """A value with what JSON cannot hold as Parquet files are read, too: NaN, which programs write
    for what is missing, as null; infinity as text."""
    match value:
        case float():
            return value if math.isfinite(value) else None if math.isnan(value) else str(value)
        case list():
            return [_written(item) for item in value]
        case dict():
            return {name: _written(item) for name, item in value.items()}
        case _:
            return value
