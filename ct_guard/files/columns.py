"""Names and values of output columns."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ct_guard.errors import UsageError

__all__ = ["cell", "harmless", "input_names", "result_values"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a text begins with that a spreadsheet runs; the last four are the wide forms."""


def input_names(columns: Iterable[str], results: Iterable[str]) -> dict[str, str]:
    """What each input column is called in the output: its name, with `input_` in front as often
    as it takes where a result column has that name."""
    columns, results = list(columns), set(results)
    taken = results.union(columns)
    names: dict[str, str] = {}
    for column in columns:
        name = column
        while column in results and name in taken:
            name = f"input_{name}"
        names[column] = name
        taken.add(name)
    return names


def result_values(columns: Iterable[str], results: Mapping[str, Any]) -> dict[str, Any]:
    """One value for each result column, None where `results` has none. Raises UsageError for a
    result without a column."""
    values = {name: results.get(name) for name in columns}
    if not results.keys() <= values.keys():
        unknown = min(results.keys() - values.keys())
        raise UsageError(f"no result column '{unknown}'; declare it when opening the writer")
    return values


def cell(value: Any) -> str | None:
    """A JSON value as text: text stays as it is, null is None, everything else is JSON. A lone
    surrogate, which UTF-8 cannot hold, becomes its escape `\\udNNN`."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def harmless(text: str) -> str:
    """`text` as a spreadsheet shows it: with an apostrophe in front where it would run it as a
    formula. Numbers stay as they are."""
    if not text.lstrip(" ").startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
