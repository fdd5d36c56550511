"""What LangChain and LangGraph put around messages: the forms in which they are stored, and what a
graph returns."""

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    convert_to_messages,
)

__all__ = [
    "added",
    "all_messages",
    "envelope",
    "is_answer",
    "is_asked",
    "is_graph_output",
    "is_paused",
    "last_answer",
    "message_of",
    "messages_in",
    "opened",
    "plain_text",
    "written_in",
]

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


def written_in(part: Any) -> dict[Any, Any] | None:
    """What the nodes of a graph have written, in a part of its stream of updates; None for another
    part."""
    if type(part) is not dict or not part:
        return None
    writes = [
        write
        for node, written in part.items()
        if node != _INTERRUPT
        for write in (written if isinstance(written, list) else [written])
    ]
    if not all(write is None or type(write) is dict for write in writes):
        return None
    made: dict[Any, Any] = {}
    for write in filter(None, writes):
        made |= {key: added(made.get(key), value) for key, value in write.items()}
    return made


def added(before: Any, written: Any) -> Any:
    """A state's value after one more was written: messages come to those before."""
    if isinstance(written, BaseMessage):
        written = [written]
    if isinstance(before, list) and isinstance(written, list) and all_messages(written):
        return [*before, *written]
    return written


def message_of(source: Any) -> BaseMessage:
    """A message in whatever form."""
    return convert_to_messages([opened(source)])[0]


def is_answer(source: Any) -> bool:
    """Whether it is an AI message, also one that is plain JSON or a pair of role and text."""
    match opened(source):
        case ChatMessage(role=role):
            return role.lower() in ("assistant", "ai")
        case BaseMessage() as message:
            return isinstance(message, AIMessage)
        case {"role": "assistant" | "ai", "content": _} | {"type": "ai", "content": _}:
            return True
        case ("assistant" | "ai", str() | [{"type": _}, *_]):
            return True
    return False


def is_asked(source: Any) -> bool:
    """Whether it is a turn of whoever asks, in whatever form."""
    match opened(source):
        case str() | HumanMessage():
            return True
        case {"role": "user" | "human"} | {"type": "human"} | ("user" | "human", _):
            return True
    return False


def last_answer(messages: Sequence[Any]) -> int | None:
    """Where the last AI message stands."""
    places = (at for at in reversed(range(len(messages))) if is_answer(messages[at]))
    return next(places, None)


def all_messages(output: Sequence[Any]) -> bool:
    """Whether there are some, and nothing else."""
    return bool(output) and all(isinstance(each, BaseMessage) for each in output)


def plain_text(value: Any) -> str | None:
    """The text of a text or a message; None for anything else."""
    if isinstance(value, BaseMessage):
        return str(value.text).strip()
    return value.strip() if isinstance(value, str) else None
