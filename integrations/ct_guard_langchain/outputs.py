"""What a chain is given and what it returns, as messages: plain text, prompts, messages, the states
of agents, and structured output."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue
from pydantic import BaseModel

from ct_guard.errors import UsageError

from .messages import as_json
from .record import attach, get_confidence

__all__ = ["answer_of", "asked_of", "with_answer"]

_QUESTIONS = ("messages", "question", "input")
"""Keys under which a chain's input is known to hold what is asked, the first one first."""


def asked_of(value: Any) -> list[BaseMessage]:
    """What was asked: a text, a message, a prompt, messages, or a dict that holds one of these as
    `messages`, `question` or `input`. Raises UsageError for anything else."""
    match value:
        case str():
            return [HumanMessage(value)]
        case BaseMessage():
            return [value]
        case PromptValue():
            return value.to_messages()
        case Mapping():
            key = next((key for key in _QUESTIONS if key in value), None)
            if key is not None:
                return asked_of(value[key])
            raise UsageError(
                f"the question is under none of the keys {', '.join(map(repr, value))}: name it"
                " 'question', or give guard.wrap(chain, question=lambda value: …)"
            )
        case [*_]:
            return convert_to_messages(value)
    raise UsageError(f"{type(value).__name__} is no question: give a text or messages")


def answer_of(output: Any) -> BaseMessage:
    """What a chain answered: of messages and of an agent's state the last AI message, of structured
    output the JSON, of anything else its text."""
    match output:
        case BaseMessage():
            return output
        case str():
            return AIMessage(output)
        case None:
            return AIMessage("")
        case {"raw": BaseMessage() as raw, "parsed": parsed}:
            return raw if parsed is None else answer_of(parsed)
        case {"messages": [*_] as messages}:
            return answer_of(messages)
        case [*_] if all(isinstance(each, BaseMessage) for each in output):
            at = _last_answer(output)
            return output[at] if at is not None else AIMessage("")
        case BaseModel():
            return AIMessage(as_json(output.model_dump(mode="json")))
    return AIMessage(as_json(output))


def with_answer(output: Any, answer: BaseMessage, *, replaced: bool) -> Any:
    """The output with its answer in place of the one that was judged, in the form that it has.
    Structured output cannot say anything else: it becomes None where the answer was replaced."""
    match output:
        case BaseMessage():
            return answer
        case str():
            return answer.text if replaced else output
        case {"raw": BaseMessage() as raw, "parsed": _}:
            record = get_confidence(answer)
            said = answer if replaced else attach(raw, record) if record else raw
            return {**output, "raw": said, **({"parsed": None} if replaced else {})}
        case {"messages": [*_] as messages}:
            return {**output, "messages": with_answer(messages, answer, replaced=replaced)}
        case [BaseMessage(), *_]:
            at = _last_answer(output)
            said_at = len(output) if at is None else at
            return [*output[:said_at], answer, *output[said_at + 1 :]]
    return None if replaced else output


def _last_answer(messages: Sequence[Any]) -> int | None:
    """Where the last AI message stands."""
    places = (at for at in reversed(range(len(messages))) if isinstance(messages[at], AIMessage))
    return next(places, None)
