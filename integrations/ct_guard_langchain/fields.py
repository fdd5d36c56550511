"""Structured answers without the fields that a policy drops: in the message, and in what was read
of it."""

import json
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage
from pydantic import BaseModel, ValidationError

from ct_guard.errors import UsageError
from ct_guard.fields import read_object, without

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
    which are its answer, and else in its text."""
    if not paths:
        return message
    if isinstance(message, AIMessage) and message.tool_calls:
        calls = [
            {**call, "args": without(call["args"], paths)}
            if not schemas or call["name"] in schemas
            else call
            for call in message.tool_calls
        ]
        return message.model_copy(update={"tool_calls": calls})
    kwargs = dict(message.additional_kwargs)
    if _PARSED in kwargs:
        kwargs[_PARSED] = without(_plain(kwargs[_PARSED]), paths)
    update = {"content": _text_without(message, paths), "additional_kwargs": kwargs}
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


def _text_without(message: BaseMessage, paths: Sequence[str]) -> Any:
    content = message.content
    if isinstance(content, str):
        return _json(without(read_object(content), paths))
    text = _json(without(read_object(message.text), paths))
    parts: list[Any] = []
    for part in content:
        is_text = isinstance(part, str) or part.get("type") == "text"
        if not is_text:
            parts.append(part)
        elif text:
            parts.append(text if isinstance(part, str) else {**part, "text": text})
            text = ""
    return parts


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
