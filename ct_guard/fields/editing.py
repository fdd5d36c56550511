"""Answers without some of their fields."""

import copy
from collections.abc import Container, Iterable
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
        if last in _steps_in(at):
            at[last] = None
    return made


def _child(value: Any, step: str | int) -> Any:
    return value[step] if step in _steps_in(value) else None


def _steps_in(value: Any) -> Container[str | int]:
    """The keys of an object, or the places of a list."""
    if isinstance(value, dict):
        return value.keys()
    return range(len(value)) if isinstance(value, list) else ()
