"""What the rows of other tools are made of: conversations, parts of messages, grades, numbers."""

import json
import math
from collections.abc import Mapping
from typing import Any

from .conversation import ROLES, is_thought, opened
from .untrusted_json import JsonError, parse_json

__all__ = [
    "ForeignError",
    "asked",
    "filled",
    "grade_of",
    "listed",
    "mapping",
    "number",
    "path_of",
    "said",
]

_GRADES = {"c": True, "i": False, "n": False, "true": True, "false": False, "yes": True,
           "no": False, "correct": True, "incorrect": False, "1": True, "0": False,
           "1.0": True, "0.0": False}  # fmt: skip
"""Inspect writes C, I, P (partly) and N (no answer)."""


_OF_TOOLS = ("tool_calls", "function_call", "additional_kwargs", "tool_call_id", "name")
"""What a turn holds beside its content that says something of calls."""


class ForeignError(ValueError):
    """What a row of another tool is or lacks, in words that follow its place."""


def path_of(value: Any, path: str) -> Any:
    """What stands at `a.b.0.c`, None where there is nothing. Texts that hold JSON, as cells of
    tables do, are read through; a field that is called so stands first."""
    if isinstance(value, Mapping) and path in value:
        return value[path]
    for step in path.split("."):
        value = _parsed(value)
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def mapping(value: Any) -> dict[str, Any]:
    """The object, or the one that a text holds; else an empty one."""
    found = _parsed(value)
    return found if isinstance(found, dict) else {}


def listed(value: Any) -> list[Any]:
    """The list, or the one that a text holds; another value as a list of one, None as none."""
    found = _parsed(value)
    if isinstance(found, list):
        return found
    return [] if found is None else [found]


def asked(sent: Any) -> dict[str, Any]:
    """What was sent to a model as `question` or, where it is a conversation, `messages`; nothing
    where there is none."""
    found = _parsed(sent)
    while isinstance(found, list) and len(found) == 1 and not isinstance(found[0], dict):
        sent = found[0]
        found = _parsed(sent)
    if isinstance(found, dict) and "messages" in found:
        return asked(found["messages"])
    items = [one for one in found if not is_thought(one)] if isinstance(found, list) else []
    turns = [_turn(one) for one in items]
    known = [turn for turn in turns if turn is not None]
    if known and len(known) < len(turns):
        raise ForeignError(f"has a turn that cannot be read: {str(items[turns.index(None)])[:80]}")
    if len(known) == 1 and known[0]["role"] == "user" and _is_text(known[0]["content"]):
        return {"question": said(known[0]["content"])}
    if known:
        return {"messages": known}
    text = sent if isinstance(sent, str) else said(sent)
    return {"question": text} if text else {}


def _turn(value: Any) -> dict[str, Any] | None:
    """A message as APIs or LangChain write it, with its calls of tools: what is not text in it,
    whoever reads it refuses by name."""
    if not isinstance(value, dict):
        return None
    inside = opened(mapping(value.get("kwargs")) or mapping(value.get("data")) or value)
    role = inside.get("role") or inside.get("type") or value.get("type")
    known = ROLES.get(str(role).lower().removesuffix("message"))
    kept = {name: inside[name] for name in _OF_TOOLS if inside.get(name)}
    if known is None or not ("content" in inside or kept):
        return None
    content = inside.get("content")
    return {"role": known, "content": said(inside) if _is_text(content) else content, **kept}


def _is_text(content: Any) -> bool:
    """Whether nothing but text stands in the content of a turn."""
    return not isinstance(content, list) or all(
        isinstance(part, str) or (isinstance(part, dict) and isinstance(part.get("text"), str))
        for part in content
    )


def said(value: Any) -> str:
    """The text of a reply: text, a message, a list of its parts, LangChain's generations. What is
    no text is written as JSON."""
    match value:
        case None:
            return ""
        case str():
            return value
        case {"thought": True} | {
            "type": "reasoning" | "reasoning_text" | "thinking" | "summary_text"
        }:
            return ""
        case {"text": str() as text} if text or "message" not in value:
            return text
        case {"refusal": str() as text, "content": None} | {"refusal": str() as text, "type": _}:
            return text
        case {"content": content}:
            return said(content)
        case {"kwargs": dict() as inside} | {"data": dict() as inside}:  # LangChain's
            return said(inside)
        case {"message": message}:
            return said(message)
        case {"type": str()}:  # a part without text: reasoning, a call of a tool
            return ""
        case [first, *_] if isinstance(first, list):
            return said(first)
        case [*parts] if parts and all(isinstance(part, (dict, str)) for part in parts):
            if (last := _turn(parts[-1])) is not None:  # a conversation: what was said last
                return str(last["content"]) if last["role"] == "assistant" else ""
            if "message" in mapping(parts[0]):  # several replies: the first
                return said(parts[0])
            return "".join(map(said, parts))
        case _:
            return json.dumps(value, ensure_ascii=False)


def grade_of(value: Any) -> bool | None:
    """Whether it says right (true, 1, C) or wrong (false, 0, I, N); None for anything else."""
    return _GRADES.get(str(value).strip().lower())


def number(value: Any) -> float | None:
    """The finite number, also of a text or a truth value; None for anything else."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def filled(made: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known."""
    return {name: value for name, value in made.items() if value is not None and value != []}


def _parsed(value: Any) -> Any:
    """The list or object that a text holds; any other value as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        found = parse_json(value)
    except JsonError:
        return value
    return found if isinstance(found, (dict, list)) else value
