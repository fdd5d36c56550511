"""Rows of an earlier output: the results that they have, and what they were before."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from ct_guard.errors import InputError
from ct_guard.files import Row
from ct_guard.records import Confidence

__all__ = ["bare", "earlier_confidence", "earlier_result", "is_kept"]

_WORDS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
"""Truth values as programs save them again: a column with gaps is one of numbers."""


def is_kept(row: Row) -> bool:
    """Whether a row has a confidence."""
    return row.error is None and row.fields.get("confidence") not in (None, "")


def bare(row: Row, columns: Collection[str]) -> Row:
    """The row without the `columns` that scoring added."""
    fields = {name: value for name, value in row.fields.items() if name not in columns}
    return row._replace(fields=fields)


def earlier_result(row: Row, columns: Mapping[str, type]) -> dict[str, Any]:
    """What a row has in the `columns` that scoring adds, whatever the format of its file. Raises
    InputError for a value that scoring does not write."""
    return {name: _typed(row, name, kind) for name, kind in columns.items()}


def earlier_confidence(result: Mapping[str, Any]) -> Confidence:
    """What a policy decides on."""
    return Confidence(
        p=result["confidence"],
        logit=result["logit"],
        calibrated=bool(result["calibrated"]),
        truncated=bool(result["truncated"]),
        sanitized=bool(result["sanitized"]),
        cut_off=bool(result["cut_off"]),
        ood=result["ood"],
        estimator=result["estimator"] or "",
        backend=result["backend"] or "",
    )


def _typed(row: Row, name: str, kind: type) -> Any:
    value = row.fields.get(name)
    if value is None or value == "":
        return None
    if kind is str:
        return str(value)
    if kind is bool and (word := str(value).strip().lower()) in _WORDS:
        return _WORDS[word]
    if kind is float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        in_range = name != "confidence" or 0 <= number <= 1
        if math.isfinite(number) and in_range and not isinstance(value, bool):
            return number
    raise InputError(
        f"{row.where}: field '{name}' is not what scoring writes: score the whole file again"
    )
