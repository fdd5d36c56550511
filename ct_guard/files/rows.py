"""One row of an input file, and what every format has to say about rows and columns."""

import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from ct_guard.errors import InputError

from .paths import ROW_LIMIT

__all__ = [
    "SCORED",
    "USED_COLUMNS",
    "Needs",
    "Row",
    "check_columns",
    "check_needs",
    "decoded_row",
    "many_rows",
    "overlong_row",
    "raw_row",
]

USED_COLUMNS = (
    "question", "answer", "id", "context", "messages", "model", "logprobs", "finish_reason",
    "correct",
)  # fmt: skip
"""The columns that ct-guard reads; all others are only carried to the output."""

_SHOWN = 1000
"""Bytes that are kept of a row that is too long."""

Needs = tuple[tuple[str, ...], ...]
"""Columns that a file must have: of each inner tuple one, the first being the usual one."""

SCORED: Needs = (("question", "messages"), ("answer",))
"""What scoring needs."""


_YOUNG = 100_000
"""Objects that may be new before Python looks for cycles among them."""


class Row(NamedTuple):
    """One row as it stands in the file.

    `fields` holds JSON values only, whatever the format. A row that cannot be taken apart has the
    one field `raw`, its text, so that nothing is lost.
    """

    number: int
    """From 1. JSONL and CSV: the physical line where the row starts; Parquet: the row."""
    fields: dict[str, Any]
    error: str | None = None
    """One line that names file, line and (where there is one) field; None for a readable row."""
    where: str = ""
    """The file and line (or row), as messages name it."""


@contextmanager
def many_rows() -> Iterator[None]:
    """For blocks that rows go through by the million: none of them is part of a cycle, and looking
    for some again and again takes as long as reading does. It goes on, more rarely."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], _YOUNG) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def raw_row(number: int, where: str, text: str, problem: str) -> Row:
    """The row for `text`, which cannot be taken apart."""
    return Row(number, {"raw": text}, f"{where}: {problem}", where)


def overlong_row(number: int, where: str, line: bytes) -> Row:
    """The row for a `line` that is longer than any may be; its beginning is kept."""
    text = line[:_SHOWN].decode("utf-8", "backslashreplace")
    problem = f"is longer than {ROW_LIMIT >> 20} MiB, which no row may be; its beginning is kept"
    return raw_row(number, where, text, problem)


def decoded_row(number: int, where: str, fields: Mapping[str, Any]) -> Row:
    """The row with `fields`, whose text was decoded with `surrogateescape`: bytes that are not
    UTF-8 become readable escapes, and the error names the first field that has any."""
    broken = [name for name, value in fields.items() if _has_escaped_bytes(value)]
    if not broken:
        return Row(number, dict(fields), None, where)
    readable = {k: show_bytes(v) if k in broken else v for k, v in fields.items()}
    return Row(
        number, readable, f"{where}: field '{broken[0]}' is not UTF-8 text: save it as UTF-8", where
    )


def _has_escaped_bytes(value: Any) -> bool:
    if not isinstance(value, str) or value.isascii():
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def show_bytes(text: str) -> str:
    """`text`, decoded with `surrogateescape`, with `\\xNN` for each byte that is not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def check_columns(source: str, columns: Iterable[str]) -> None:
    """Raises InputError unless the names are unique, and those that we read without blanks around
    them."""
    names = list(columns)
    repeated = [name for name, times in Counter(names).items() if times > 1]
    blank = next((name for name in names if name != name.strip() in USED_COLUMNS), None)
    if blank is not None:
        raise InputError(
            f"{source}: column '{blank}' would not be read: take away the blanks around its name,"
            " and those in its cells"
        )
    if repeated:
        raise InputError(
            f"{source}: column '{repeated[0]}' is there more than once; give each its own name"
        )


def check_needs(source: str, columns: Iterable[str], needs: Needs, hint: str = "") -> None:
    """Raises InputError, with the way out that `hint` gives, unless there is a column for each
    need."""
    found = list(columns)
    if all(any(name in found for name in alternatives) for alternatives in needs):
        return
    wanted = [
        f"'{first}'" + (f" (or {' or '.join(map(repr, others))})" if others else "")
        for first, *others in needs
    ]
    listed = ", ".join(wanted[:-1]) + (" and " if wanted[:-1] else "") + wanted[-1]
    names = ", ".join(f"'{name}'" for name in found) or "none"
    way = f", or {hint}" if hint else ""
    raise InputError(
        f"{source}: needs the columns {listed}, found {names}; rename or add them{way}"
    )
