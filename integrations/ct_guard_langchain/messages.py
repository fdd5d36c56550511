"""LangChain messages as the conversation and answer that an estimator reads."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from ct_guard.errors import UsageError
from ct_guard.records import Message, QuestionAnswer

__all__ = ["question_answer", "replace_answer", "text_of", "turns_of"]

Role = Literal["system", "user", "assistant", "tool"]

_ROLES: dict[type[BaseMessage], Role] = {
    SystemMessage: "system",
    HumanMessage: "user",
    AIMessage: "assistant",
    ToolMessage: "tool",
    FunctionMessage: "tool",
}
_NAMED_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "tool": "tool",
}
"""The free-text roles of ChatMessage."""

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
        "input_json_delta",
        "server_tool_call",
        "server_tool_call_chunk",
        "server_tool_result",
    }
)
"""Parts that are no part of what was said: thoughts, and calls that `tool_calls` repeats."""


def question_answer(
    messages: Sequence[BaseMessage], answer: BaseMessage | None = None, *, model: str | None = None
) -> QuestionAnswer:
    """A conversation and its answer (None: not answered yet), `model` being who answered.

    What was asked is the last human turn. Where others follow it, as tool results do, it is asked
    again at the end, because an answer is always judged against a question.
    Raises UsageError for content that is not text, naming it.
    """
    turns = turns_of(messages)
    asked = [turn.content for turn in turns if turn.role == "user"]
    said_last = bool(turns) and turns[-1].role == "user"
    return QuestionAnswer(
        question=asked[-1] if asked and not said_last else "",
        answer=text_of(answer) if answer is not None else "",
        messages=turns,
        model=model,
    )


def turns_of(messages: Sequence[BaseMessage]) -> tuple[Message, ...]:
    """The messages as plain turns, in order. Raises UsageError for content that is not text."""
    return tuple(Message(role=_role(message), content=text_of(message)) for message in messages)


def text_of(message: BaseMessage) -> str:
    """What a message says: its text, then its tool calls, each as a line of JSON.

    Reasoning is left out. Raises UsageError for images, audio and other parts that are not text.
    """
    content = message.content
    parts = [content] if isinstance(content, str) else [_part(part, message) for part in content]
    return "\n".join(filter(None, ["".join(parts), *_tool_calls(message)]))


def replace_answer(message: BaseMessage, text: str) -> BaseMessage:
    """A copy that says `text` and nothing else: no tool calls, no provider's extras of the old
    content. Id, usage and response metadata stay."""
    update: dict[str, Any] = {"content": text, "additional_kwargs": {}}
    if isinstance(message, AIMessage):
        update |= {"tool_calls": [], "invalid_tool_calls": []}
    return message.model_copy(update=update)


def _role(message: BaseMessage) -> Role:
    if isinstance(message, ChatMessage):
        role = _NAMED_ROLES.get(message.role.lower())
    else:
        role = next((role for kind, role in _ROLES.items() if isinstance(message, kind)), None)
    if role is None:
        kind = message.role if isinstance(message, ChatMessage) else message.type
        raise UsageError(f"a message of role {kind!r} has no place in a conversation")
    return role


def _part(part: str | dict[Any, Any], message: BaseMessage) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type", "text")
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind in _UNSPOKEN:
        return ""
    raise UsageError(f"{kind} content in a message of type {message.type} is not text")


def _tool_calls(message: BaseMessage) -> list[str]:
    if not isinstance(message, AIMessage):
        return []
    calls = [*message.tool_calls, *message.invalid_tool_calls]
    return [
        json.dumps({"name": call["name"], "args": call["args"]}, ensure_ascii=False, default=str)
        for call in calls
    ]
