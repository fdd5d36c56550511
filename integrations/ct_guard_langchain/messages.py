"""What is the question, and what is the answer, in a conversation?

* **The question** is the last human turn, read with what leads to it: the system's instructions,
  the earlier turns, and the tool results that came in since.
* **The answer** is what the AI message says: its text. Thoughts are no part of it, also where they
  stand in the text, as between `<think>` and `</think>`; one that does not end leaves no answer.
* **A turn that calls tools** is judged as that call: its text, then every call in one canonical
  form, `name({"arg": value, …})` with sorted arguments. It is of the group `tool_call`, which can
  have a calibrator of its own.
* **A structured answer** is its JSON, whether it comes as text or as a call of the schema's tool.
* **Log-probabilities** that the answering model reports with its answer go along: an estimator that
  has learnt what they say (`ct-guard calibrate --logprobs`) uses them.
* **An answer that was cut off**, because the model had no tokens left, says so: a policy can
  require that it was not (`Require(cut_off=False)`).
* **Images, audio and files** in what is asked or answered cannot be judged: UsageError, which the
  surfaces turn into the status `unsupported`. In earlier turns, which have had their answers, a
  word such as `[image]` stands for them.

The estimator reads a conversation as human and assistant turns that alternate, which is what every
chat template can render: instructions stand together in front, and calls with their results stand
as a passage in front of the human turn that they were made for.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import BaseModel

from ct_guard.conversation import ChatTurn, Exchange, alternating
from ct_guard.errors import UsageError
from ct_guard.policies import Turn
from ct_guard.query import without_thoughts
from ct_guard.records import Message, QuestionAnswer, Role

from .logprobs import provider_logprobs
from .provided import ran_out

__all__ = ["as_json", "question_answer", "render_call", "spoken", "text_of", "turn_of", "turns_of"]


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


def question_answer(
    messages: Sequence[BaseMessage],
    answer: BaseMessage | None = None,
    *,
    model: str | None = None,
    schemas: Collection[str] = (),
    context: str | None = None,
) -> QuestionAnswer:
    """A conversation and its answer (None: not answered yet), `model` being who answered.

    `schemas` are the names of tools whose call *is* a structured answer. `context`, a passage, goes
    along unless it stands in the conversation already.
    Raises UsageError for content that is not text, naming it.
    """
    calls_tools = answer is not None and turn_of(answer, schemas) == "tool_call"
    said = text_of(answer, schemas) if answer is not None else ""
    turns = turns_of(messages)
    if context is not None and any(context in turn.content for turn in turns):
        context = None
    return QuestionAnswer(
        question="",
        answer=said,
        context=context,
        messages=turns,
        model=model,
        id=answer.id if answer is not None else None,
        group="tool_call" if calls_tools else None,
        logprobs=provider_logprobs(answer, said) if answer is not None else None,
        cut_off=answer is not None and ran_out(answer.response_metadata),
    )


def turn_of(answer: BaseMessage, schemas: Collection[str] = ()) -> Turn:
    """Whether an AI message answers or calls tools; a call of one of `schemas` answers."""
    calls = _calls(answer)
    return "tool_call" if calls and not _structured(calls, schemas) else "answer"


def text_of(message: BaseMessage, schemas: Collection[str] = (), *, earlier: bool = False) -> str:
    """What a message says: its text, then its tool calls, one a line; of a structured answer the
    JSON alone.

    Raises UsageError for images, audio and other parts that are not text; in an `earlier` turn a
    word in brackets stands for them.
    """
    calls = _calls(message)
    if structured := _structured(calls, schemas):
        return "\n".join(as_json(call["args"]) for call in structured)
    text = spoken(message, earlier=earlier)
    return "\n".join(filter(None, [text, *map(render_call, calls)]))


def render_call(call: Mapping[str, Any]) -> str:
    """The canonical text of a tool call: equal calls read the same, whatever the provider."""
    args = call["args"]
    return f"{call['name']}({args if isinstance(args, str) else as_json(args or {})})"


def as_json(value: object) -> str:
    """The canonical JSON text of a value: keys sorted, nothing escaped that need not be; objects by
    their fields, and what else JSON does not know as its own text. Raises UsageError for keys of
    several types and for cycles."""
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=_plain)
    except (TypeError, ValueError) as error:
        kind = type(value).__name__
        raise UsageError(f"this {kind} cannot be read as an answer: {error}") from error


def _plain(value: Any) -> Any:
    """A value that JSON does not know, in what it does."""
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case Enum():
            return value.value
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {each.name: getattr(value, each.name) for each in fields(value)}
    return str(value)


def turns_of(messages: Sequence[BaseMessage]) -> tuple[Message, ...]:
    """The conversation as an estimator reads it; the last turn is a user's and is what was asked.

    A prompt without a human turn asks by its system turn. Raises UsageError for content that is
    not text in what is asked or in the instructions.
    """
    system, exchanges = alternating(map(_turn, messages))
    if not any(exchange.asked for exchange in exchanges):
        exchanges.append(Exchange(asked=system))
        system = []
    exchanges[-1].reopen()
    if (unread := exchanges[-1].unread) is not None:
        raise unread
    turns = [Message(role="system", content="\n\n".join(system))] if system else []
    turns += [turn for exchange in exchanges[:-1] for turn in exchange.messages()]
    return (*turns, Message(role="user", content=exchanges[-1].question()))


def _turn(message: BaseMessage) -> ChatTurn:
    role, calls, unread = _role(message), _calls(message), None
    try:
        text = text_of(message)
    except UsageError as error:
        if role == "system":
            raise
        unread, text = error, text_of(message, earlier=True)
    return ChatTurn(
        role,
        spoken(message, earlier=True) if calls else text,
        calls=tuple((call["id"] or "", render_call(call)) for call in calls),
        call=getattr(message, "tool_call_id", None) or "",
        name=message.name or "",
        unread=unread,
    )


def _role(message: BaseMessage) -> Role:
    if isinstance(message, ChatMessage):
        role = _NAMED_ROLES.get(message.role.lower())
    else:
        role = next((role for kind, role in _ROLES.items() if isinstance(message, kind)), None)
    if role is None:
        kind = message.role if isinstance(message, ChatMessage) else message.type
        raise UsageError(f"a message of role {kind!r} has no place in a conversation")
    return role


def _calls(message: BaseMessage) -> list[Mapping[str, Any]]:
    if not isinstance(message, AIMessage):
        return []
    return [*message.tool_calls, *message.invalid_tool_calls]


def _structured(
    calls: Sequence[Mapping[str, Any]], schemas: Collection[str]
) -> list[Mapping[str, Any]]:
    return [call for call in calls if call["name"] in schemas]


_UNSPOKEN = frozenset(
    {
        "reasoning",
        "reasoning_content",
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
        text = without_thoughts(text)[0]
    if not text and isinstance(message, AIMessage):
        text = str(message.additional_kwargs.get("refusal") or "")
    return text


def _part(part: str | Mapping[Any, Any], message: BaseMessage, earlier: bool) -> str:
    if isinstance(part, str):
        return part
    kind: Any = part.get("type", "text")
    if part.get("thought") is True:  # Gemini's
        return ""
    if kind in ("text", "refusal") and isinstance(part.get(kind), str):
        return str(part[kind])
    if kind == "non_standard" and isinstance(part.get("value"), Mapping):
        return _part(part["value"], message, earlier)
    if kind in _UNSPOKEN:
        return ""
    if earlier:
        return f"[{kind}]"
    raise UsageError(f"{kind} content in a message of type {message.type} is not text")
