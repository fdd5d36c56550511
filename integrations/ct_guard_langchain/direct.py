"""Runs of agents that end with what a tool returned, as those of a tool with `return_direct`: that
is their answer."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from .envelopes import last_answer, message_of
from .provided import harmless
from .record import attach, own_record, record_in

__all__ = ["direct_answer", "judged_as", "with_result"]


def direct_answer(messages: Sequence[Any]) -> AIMessage | None:
    """What the tools returned that the last AI message called, given by that message, which names
    who answered; and what a list of nothing but results says. None for a conversation that goes on
    after them, or has none."""
    at = last_answer(messages)
    if at is None:
        alone = bool(messages) and all(isinstance(each, ToolMessage) for each in messages)
        return judged_as(AIMessage(""), messages) if alone else None
    said = message_of(messages[at])
    if not isinstance(said, AIMessage) or not said.tool_calls:
        return None
    results = [each for each in map(message_of, messages[at + 1 :]) if _is_of(each, said)]
    return judged_as(said, results) if results else None


def judged_as(said: AIMessage, results: Sequence[BaseMessage]) -> AIMessage:
    """The answer that these results are, given by the message that called for them. The record that
    a guard has put on one goes along."""
    content = results[0].content if len(results) == 1 else "\n\n".join(r.text for r in results)
    answer = AIMessage(
        content,
        id=said.id,
        name=said.name,
        response_metadata=harmless(said.response_metadata),
    )
    record = own_record(results[-1])
    return answer if record is None else attach(answer, record)


def with_result(result: ToolMessage, said: BaseMessage, *, replaced: bool) -> ToolMessage:
    """A result with the record of its judgement; replaced, with nothing of what it said."""
    record = record_in(said)
    if replaced:
        result = ToolMessage(
            said.content,
            id=result.id,
            name=result.name,
            tool_call_id=result.tool_call_id,
            status=result.status,
        )
    return result if record is None else attach(result, record)


def _is_of(result: BaseMessage, said: AIMessage) -> bool:
    ids = [call["id"] for call in said.tool_calls]
    return isinstance(result, ToolMessage) and result.tool_call_id in ids
