"""Structured answers without the fields that a policy drops: in the message, and in what was read
of it."""

import json
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage
from pydantic import BaseModel, ValidationError

from ct_guard.errors import UsageError
from ct_guard.fields import read_object, without

from .provided import harmless
from .record import ConfidenceRecord

__all__ = ["dropped_in", "object_without", "without_fields"]

M = TypeVar("M", bound=BaseMessage)

_PARSED = "parsed"
"""Where integrations keep an object that the provider has read already."""


def dropped_in(record: ConfidenceRecord) -> list[str]:
    """The paths of the fields that are left out."""
    fields = record.get("fields") or {}
    return [path for path, one in fields.items() if one["action"] == "drop"]


def without_fields(message: M, paths: Sequence[str], schemas: Collection[str] = ()) -> M:
    """A copy in which these fields of its JSON are null: in the calls of `schemas` (none: in all),
    which are its answer, and else in its text. Nothing else that could hold them stays: thoughts,
    log-probabilities, and the calls in a provider's own form."""
    if not paths:
        return message
    update: dict[str, Any] = {
        "response_metadata": harmless(message.response_metadata),
        "additional_kwargs": {},
    }
    if isinstance(message, AIMessage) and message.tool_calls:
        calls = [
            {**call, "args": without(call["args"], paths)}
            if not schemas or call["name"] in schemas
            else call
            for call in message.tool_calls
        ]
        update |= {"content": "", "tool_calls": calls, "invalid_tool_calls": []}
        return message.model_copy(update=update)
    if _PARSED in message.additional_kwargs:
        parsed = without(_plain(message.additional_kwargs[_PARSED]), paths)
        update["additional_kwargs"] = {_PARSED: parsed}
    text = _json(without(read_object(message.text), paths))
    as_text = isinstance(message.content, str)
    update["content"] = text if as_text else [{"type": "text", "text": text}]
    return message.model_copy(update=update)


def object_without(value: Any, paths: Sequence[str]) -> Any:
    """What was read of a structured answer, with these fields null. Raises UsageError for a schema
    that allows no null there."""
    if not paths or not isinstance(value, BaseModel | dict | list):
        return value
    plain = without(_plain(value), paths)
    if not isinstance(value, BaseModel):
        return plain
    try:
        return type(value).model_validate(plain)
    except ValidationError as error:
        raise UsageError(
            f"the policy drops {', '.join(paths)}, and {type(value).__name__} allows no null there:"
            " declare the field as optional, or let the policy ask for a review"
        ) from error


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
