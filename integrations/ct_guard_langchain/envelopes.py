"""What LangChain and LangGraph put around messages: the forms in which they are stored, and what a
graph returns."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

__all__ = ["envelope", "is_graph_output", "is_paused", "messages_in", "opened"]

_INTERRUPT = "__interrupt__"
"""LangGraph's key for what a paused graph waits for."""


def opened(source: Any) -> Any:
    """A message out of the envelope in which LangChain stores it; anything else as it is."""
    inside = envelope(source) if isinstance(source, Mapping) else None
    if inside is None:
        return source
    kind = source[inside].get("type") or source.get("type")
    return {**source[inside], "type": str(kind).removesuffix("MessageChunk").lower()}


def envelope(source: Mapping[Any, Any]) -> str | None:
    """Under which key the message lies: `message_to_dict` writes `data`, `dumpd` `kwargs`."""
    match source:
        case {"type": str(), "data": {"content": _}}:
            return "data"
        case {"type": "constructor", "lc": _, "kwargs": {"content": _, "type": _}}:
            return "kwargs"
    return None


def is_graph_output(output: Any) -> bool:
    """Whether it is what a graph returns that was invoked with `version="v2"`."""
    held = hasattr(output, "value") and hasattr(output, "interrupts")
    return held and is_dataclass(output) and not isinstance(output, type)


def is_paused(output: Any) -> bool:
    """Whether a graph has returned to wait for a person."""
    if is_graph_output(output):
        return bool(output.interrupts)
    return isinstance(output, Mapping) and _INTERRUPT in output


def messages_in(output: Any) -> Any:
    """The messages of a graph's state; None where it has none."""
    state = output.value if is_graph_output(output) else output
    return state.get("messages") if isinstance(state, Mapping) else None
