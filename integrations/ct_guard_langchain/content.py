"""The text in a message's content: plain strings, providers' parts and standard (v1) blocks."""

import re
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from ct_guard.errors import UsageError

__all__ = ["spoken"]

_UNSPOKEN = frozenset(
    {
        "reasoning",
        "thinking",
        "redacted_thinking",
        "tool_call",
        "tool_call_chunk",
        "invalid_tool_call",
        "tool_use",
        "function_call",
        "custom_tool_call",
        "input_json_delta",
        "server_tool_call",
        "server_tool_call_chunk",
        "server_tool_result",
        "server_tool_use",
        "web_search_call",
        "web_search_tool_result",
        "file_search_call",
        "code_interpreter_call",
        "mcp_call",
        "mcp_list_tools",
    }
)
"""Parts that are no part of what was said: thoughts, calls that `tool_calls` repeats, and what the
provider's own tools did."""


_THOUGHT = re.compile(
    r"<(?P<tag>think(?:ing)?|thoughts?|reasoning|scratchpad)>.*?(?:</(?P=tag)>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_END = re.compile(r"</(?:think(?:ing)?|thoughts?|reasoning|scratchpad)>", re.IGNORECASE)


def spoken(message: BaseMessage, *, earlier: bool = False) -> str:
    """The text of a message without its tool calls and, of a model's, without its thoughts. Where a
    provider reports a refusal apart from an empty text, the refusal is what was said.

    Raises UsageError for images, audio and other parts that are not text; in an `earlier` turn a
    word in brackets stands for each.
    """
    content = message.content
    if isinstance(content, str):
        text = content
    else:
        text = "".join(_part(part, message, earlier) for part in content)
    if isinstance(message, AIMessage):
        text = _without_thoughts(text)
    if not text and isinstance(message, AIMessage):
        text = str(message.additional_kwargs.get("refusal") or "")
    return text


def _without_thoughts(text: str) -> str:
    """What follows the thoughts in a text; templates that open a thought themselves leave its end
    alone in the text."""
    rest = _THOUGHT.sub("", text)
    ends = list(_END.finditer(rest))
    rest = rest[ends[-1].end() :] if ends else rest
    return rest if rest == text else rest.strip()


def _part(part: str | Mapping[Any, Any], message: BaseMessage, earlier: bool) -> str:
    if isinstance(part, str):
        return part
    kind: Any = part.get("type", "text")
    if kind in ("text", "refusal") and isinstance(part.get(kind), str):
        return str(part[kind])
    if kind == "non_standard" and isinstance(part.get("value"), Mapping):
        return _part(part["value"], message, earlier)
    if kind in _UNSPOKEN:
        return ""
    if earlier:
        return f"[{kind}]"
    raise UsageError(f"{kind} content in a message of type {message.type} is not text")
