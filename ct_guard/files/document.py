"""One JSON document that holds the rows in a list: read whole, within bounds."""

import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

from ct_guard.errors import InputError

from .compression import unpacked_name
from .foreign_parts import path_of
from .paths import StrPath, opened
from .rows import Row, raw_row
from .untrusted_json import DEPTH, is_too_deep, with_each_name_once

__all__ = ["MOST_BYTES", "is_document", "read"]

MOST_BYTES = 1 << 28
"""Of a document, unpacked (256 MiB): as values it takes several times as much."""


def is_document(path: StrPath) -> bool:
    """Whether a file's name says that it is one JSON document (`.json`)."""
    return unpacked_name(path).suffix.lower() == ".json"


def read(path: StrPath, places: Sequence[str] = ()) -> Iterator[Row]:
    """The rows in the list that stands at the first of these `places` (`results.results`) that is
    one, or that the document is itself.

    Raises InputError, already here, for a file that cannot be read, is no JSON, is too large, or
    holds no such list.
    """
    source = os.fspath(path)
    with opened(path) as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise InputError(
            f"{source}: is larger than {MOST_BYTES >> 20} MiB, which is too much for one JSON"
            " document: write one object a line (.jsonl)"
        )
    try:
        value = json.loads(
            data.decode("utf-8-sig"),
            parse_constant=_constant,
            parse_float=_float,
            object_pairs_hook=with_each_name_once,
        )
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: is no JSON document: {_reason(error)}") from None
    found = [value, *(path_of(value, place) for place in places)]
    items = next((one for one in found if isinstance(one, list)), None)
    if items is None:
        where = f" at {' or '.join(places)}" if places else ""
        raise InputError(
            f"{source}: is a JSON document without a list of rows{where}: name the tool that wrote"
            " it with `format`, or write one object a line (.jsonl)"
        )
    return _rows(source, items)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is not UTF-8; save it as UTF-8"
    lines = str(error).startswith("Extra data")
    return f"{error}" + ("; one object a line is a file .jsonl" if lines else "")


def _rows(source: str, items: list[Any]) -> Iterator[Row]:
    for number, item in enumerate(items, start=1):
        where = f"{source}, item {number}"
        if not isinstance(item, dict):
            yield raw_row(number, where, json.dumps(item), "is not an object {…}")
        elif is_too_deep(item):
            yield raw_row(number, where, "", f"is nested more than {DEPTH} deep")
        else:
            yield Row(number, item, None, where)


def _constant(name: str) -> str | None:
    """NaN is null and infinity text, as in the other formats."""
    return None if name == "NaN" else name


def _float(digits: str) -> float | str:
    value = float(digits)
    return value if math.isfinite(value) else str(value)
