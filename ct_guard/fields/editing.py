"""Answers without some of their fields."""

import copy
from collections.abc import Iterable
from typing import Any

from .paths import EVERY, parse_path

__all__ = ["without"]


def without(value: Any, paths: Iterable[str]) -> Any:
    """A copy of a JSON value in which the fields at `paths` are null: objects keep their keys and
    lists their places, so that all other paths hold. What is not there stays so. Raises UsageError
    for a path that names no single field."""
    made = copy.deepcopy(value)
    for path in paths:
        *way, last = parse_path(path) or (EVERY,)
        at = made
        for step in way:
            at = _child(at, step)
        if (isinstance(at, dict) and last in at) or (isinstance(at, list) and isinstance(last, int) and 0 <= last < len(at)):
            at[last] = None
    return made


def _child(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
        return value[step]
    return None
