"""The column `messages`: turns as chat APIs and LangChain write them, and their calls of tools.

A conversation of text alone is read turn by turn; one in which tools are called, as
`ct_guard.conversation` says.
"""

import json
from collections.abc import Mapping
from typing import Any

from ct_guard.conversation import ChatTurn, alternating
from ct_guard.records import Message, Role

from .untrusted_json import with_each_name_once

__all__ = ["ROLES", "opened", "read_calls", "spoken_turns"]

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "tool": "tool",
    "function": "tool",
}
"""What messages call their roles."""


def opened(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message with its role, where it is in the form of LangChain, whose name for it is `type`:
    the message itself, or within `data` or, as `dumps` writes it, `kwargs`."""
    inside = next(
        (item[key] for key in ("data", "kwargs") if isinstance(item.get(key), dict)), item
    )
    kind = inside.get("type", item.get("type"))
    if "role" in inside or "content" not in inside or not isinstance(kind, str):
        return item
    role = kind.removesuffix("MessageChunk").lower()
    return {**inside, "role": role} if role in ROLES else item


def read_calls(item: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The calls of tools in a message: `tool_calls` as OpenAI or LangChain writes them, the older
    `function_call`, and parts of the type `tool_use`. Raises ValueError for one that is none."""
    listed = item.get("tool_calls") or ()
    old = item.get("function_call")
    parts = item.get("content")
    used = [
        part
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, dict) and part.get("type") in ("tool_use", "tool_call")
    ]
    if not isinstance(listed, (list, tuple)):
        raise ValueError("must be a list of calls")
    return tuple(map(_call, [*listed, *([old] if old else []), *(() if listed else used)]))


def _call(call: Any) -> tuple[str, str]:
    inner = call.get("function", call) if isinstance(call, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or not isinstance(name, str):
        raise ValueError("must hold calls with a 'name' and arguments")
    given = next((inner[key] for key in ("arguments", "args", "input") if key in inner), None)
    return str(call.get("id") or ""), f"{name}({_arguments(given)})"


def _arguments(given: Any) -> str:
    """In one canonical form; text that is no JSON, or not clearly so, stays as it is."""
    if isinstance(given, str):
        try:
            given = json.loads(given or "{}", object_pairs_hook=with_each_name_once)
        except (ValueError, RecursionError):
            return str(given)
    try:
        return json.dumps(given or {}, ensure_ascii=False, sort_keys=True)
    except RecursionError:
        raise ValueError("must hold calls whose arguments are not nested so deep") from None


def spoken_turns(turns: list[ChatTurn], question: str | None = None) -> tuple[Message, ...]:
    """The conversation as it is read. Where tools are called, the last turn is the user's: a
    `question` that comes after the turns is asked in it, unless it is what was asked already."""
    if not any(turn.calls or turn.answers or turn.role == "tool" for turn in turns):
        return tuple(Message(role=turn.role, content=turn.text) for turn in turns)
    asked = next((turn.text for turn in reversed(turns) if turn.role == "user"), None)
    if question is not None and turns[-1].role != "user" and question != asked:
        turns = [*turns, ChatTurn("user", question)]
    system, exchanges = alternating(turns)
    if not exchanges:
        return ()
    exchanges[-1].reopen()
    first = [Message(role="system", content="\n\n".join(system))] if system else []
    earlier = [message for exchange in exchanges[:-1] for message in exchange.messages()]
    return (*first, *earlier, Message(role="user", content=exchanges[-1].question()))
