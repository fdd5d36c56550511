"""The column `messages`: turns as chat APIs (OpenAI's two, Anthropic's, Gemini's, Bedrock's) and
LangChain write them, and their calls of tools.

A conversation of text alone is read turn by turn; one in which tools are called, as
`ct_guard.conversation` says.
"""

import json
from collections.abc import Mapping
from typing import Any

from ct_guard.conversation import ChatTurn, alternating
from ct_guard.records import Message, Role

from .untrusted_json import with_each_name_once

__all__ = ["ROLES", "before", "is_thought", "opened", "read_calls", "spoken_turns"]

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}
"""What messages call their roles."""

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""Items of `/v1/responses` that call a tool, and where they hold what it is given."""
_RESULTS = ("function_call_output", "custom_tool_call_output")


def is_thought(item: Any) -> bool:
    """Whether an item among messages is a thought, as `/v1/responses` has them: no turn."""
    return isinstance(item, dict) and item.get("type") == "reasoning" and "role" not in item


def opened(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message with `role` and `content`, in whatever form it is."""
    item = _item_of_responses(_message_of_langchain(item))
    role = item.get("role")
    parts = item.get("content", item.get("parts"))
    if isinstance(parts, list):
        item = {**item, "content": list(map(_part, parts))}
    return {**item, "role": role.lower()} if isinstance(role, str) else item


def _item_of_responses(item: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = item.get("type")
    if not isinstance(kind, str) or "role" in item:
        return item
    if kind in _CALLS:
        call = {"id": item.get("call_id"), "name": item.get("name"), "args": item.get(_CALLS[kind])}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if kind in _RESULTS:
        return {"role": "tool", "content": item.get("output"), "tool_call_id": item.get("call_id")}
    return item


def _part(part: Any) -> Any:
    """A part of a turn with its `type`, which those of Gemini and Bedrock lack."""
    match part:
        case {"type": _}:
            return part
        case {"functionCall": dict() as call} | {"function_call": dict() as call}:
            return {"type": "tool_use", **call}
        case {"toolUse": dict() as call}:
            return {"type": "tool_use", **call, "id": call.get("toolUseId")}
        case {"functionResponse": dict() as result} | {"function_response": dict() as result}:
            given = result.get("response")
            return {"type": "tool_result", "tool_use_id": result.get("id"),
                    "name": result.get("name"), "content": _text_of(given)}  # fmt: skip
        case {"toolResult": {"content": list() as parts} as result}:
            content = list(map(_part, parts))
            return {"type": "tool_result", "tool_use_id": result.get("toolUseId"),
                    "content": content}  # fmt: skip
        case {"reasoningContent": _}:
            return {"type": "reasoning"}
        case {"json": given}:
            return {"type": "text", "text": _text_of(given)}
        case {"text": str()}:
            return {"type": "text", **part}
        case _:
            return part


def _text_of(given: Any) -> str:
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def _message_of_langchain(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """LangChain's name for the role is `type`; the message itself stands within `data` or, as
    `dumps` writes it, `kwargs`."""
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
    further = item.get("additional_kwargs")
    further = further if isinstance(further, dict) else {}
    listed = item.get("tool_calls") or item.get("invalid_tool_calls") or further.get("tool_calls")
    listed = listed or ()
    old = item.get("function_call") or further.get("function_call")
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
    inner = call.get("function", call.get("custom", call)) if isinstance(call, dict) else None
    if isinstance(inner, str) and "arguments" in call:  # Inspect's
        inner = {"name": inner, "arguments": call["arguments"]}
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
        return json.dumps({} if given is None else given, ensure_ascii=False, sort_keys=True)
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


def before(answer: str, turns: list[ChatTurn], question: str | None) -> list[ChatTurn]:
    """The turns without the answer, with which the record of a whole conversation ends."""
    last = turns[-1] if turns else None
    if (
        last is None
        or last.role != "assistant"
        or last.calls
        or last.text.strip() != answer.strip()
    ):
        return turns
    asked = next((turn.text for turn in reversed(turns) if turn.role == "user"), None)
    again = question is not None and (asked is None or question.strip() != asked.strip())
    return turns if again or not answer.strip() else turns[:-1]
