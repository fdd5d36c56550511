"""What the functions of a chain reach: a chain of functions, as the nodes of a graph are, shows its
models to nobody but them."""

from collections.abc import Iterator, Mapping
from functools import partial
from inspect import unwrap
from types import FunctionType, MethodType
from typing import Any

from langchain_core.runnables import Runnable

__all__ = ["enclosed"]

_MOST = 1000
"""Of a list or dict: one that is longer holds data, and would take long to look through."""


def enclosed(part: Runnable[Any, Any]) -> Iterator[Runnable[Any, Any]]:
    """The runnables that a runnable's functions close over, name as globals, have as defaults or
    are methods beside: those that are there before it runs."""
    seen: dict[int, Any] = {}
    for value in vars(part).values():
        yield from _reached(value, seen)


def _reached(value: Any, seen: dict[int, Any]) -> Iterator[Runnable[Any, Any]]:
    if id(value) in seen:
        return
    seen[id(value)] = value  # which keeps it: a number is free again with its object
    match value:
        case Runnable():
            yield value
        case FunctionType():
            yield from _of_function(value, seen)
            yield from _reached(unwrap(value), seen)
        case MethodType(__func__=function, __self__=owner):
            yield from _reached([function, *_attributes(owner)], seen)
        case partial(func=function, args=args, keywords=keywords):
            yield from _reached([function, *args, *keywords.values()], seen)
        case Mapping() if len(value) <= _MOST:
            for each in list(value.values()):
                yield from _reached(each, seen)
        case list() | tuple() | set() | frozenset() if len(value) <= _MOST:
            for each in list(value):
                yield from _reached(each, seen)
        case object(bound=Runnable() as runs):  # a node of LangGraph, which is no runnable
            yield runs
        case _ if callable(value):
            yield from _reached(_attributes(value), seen)


def _attributes(owner: Any) -> list[Any]:
    return [] if isinstance(owner, type) else list(getattr(owner, "__dict__", {}).values())


def _of_function(function: FunctionType, seen: dict[int, Any]) -> Iterator[Runnable[Any, Any]]:
    yield from _reached([function.__defaults__, function.__kwdefaults__], seen)
    for cell in function.__closure__ or ():
        try:
            yield from _reached(cell.cell_contents, seen)
        except ValueError:  # not filled yet
            continue
    for name in function.__code__.co_names:
        named = function.__globals__.get(name)
        own = isinstance(named, FunctionType) and named.__module__ == function.__module__
        if own or isinstance(named, Runnable):
            yield from _reached(named, seen)
