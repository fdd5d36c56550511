"""What models were heard to say in a chain, found again in what the chain makes of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.utils.json import parse_json_markdown
from pydantic import BaseModel

from ct_guard.errors import UsageError
from ct_guard.query import without_thoughts

from .envelopes import is_answer, message_of, plain_text
from .hearing import ModelCall
from .messages import as_json

__all__ = ["Saying", "answering", "leaves_of", "parsed", "repeated_in"]

_PHRASE = 3
"""Words from which on a text is a quotation, and no word that any text may have."""

_EDGES = ".,;:!?\"'`()[]{}"


class Saying:
    """One message of a model: its text and, of structured output, the objects and their texts."""

    def __init__(self, message: BaseMessage) -> None:
        self.text = message.text.strip()
        self._spoken = without_thoughts(self.text)[0].strip()
        read = parsed(message)
        self._objects = [read] if isinstance(read, dict | list) else []
        if isinstance(message, AIMessage):
            self._objects += [call["args"] for call in message.tool_calls]
        self._leaves = {text for each in self._objects for text in leaves_of(each)}
        self._json = {text for each in self._objects if (text := canonical(each))}

    def repeats(self, value: Any) -> bool:
        """Whether a part of an output is the same as what was said, or as a part of its object."""
        text = _text(value)
        if text is not None:
            return bool(text) and text in (self.text, self._spoken, *self._leaves)
        return canonical(value) in self._json

    def is_object(self, value: Any) -> bool:
        """Whether it is an object that was said, and no part of one."""
        return canonical(value) in {canonical(each) for each in self._objects} - {None}

    def stands_in(self, value: Any) -> bool:
        """Whether a part of an output is made of what was said: the same but for capitals and
        punctuation, a quotation of it, or in the main its quotation."""
        text = _text(value)
        if text is None:
            same = canonical(value) in self._json
            return same or (_is_listed(value) and _is_mainly(" ".join(value), self.text))
        objects = [each for each in self._leaves if len(_words(each)) >= _PHRASE]
        whole = [self.text, self._spoken, *objects]
        return self._quoted_by(text) or any(_is_mainly(text, each) for each in whole)

    def has(self, name: Any, value: Any) -> bool:
        """Whether a part of an output, under this name, was a part of what was said."""
        same = any(
            isinstance(each, dict) and name in each and each[name] == value
            for each in self._objects
        )
        text = _text(value)
        return same or self.repeats(value) or (text is not None and self._quoted_by(text))

    def _quoted_by(self, text: str) -> bool:
        part = _words(text)
        whole = [self.text, *self._leaves]
        return len(part) >= _PHRASE and any(_is_in(part, _words(each)) for each in whole)


def parsed(message: BaseMessage) -> Any:
    """What a model said, read as JSON; None where it is none."""
    try:
        return parse_json_markdown(message.text)
    except (ValueError, RecursionError):
        return None


def repeated_in(value: Any, text: str) -> bool:
    """Whether a text, or words in a list, repeat another one among others."""
    if _is_listed(value) and len(value) > 1:
        return _is_mainly(" ".join(value), text)
    whole, part = _text(value), _words(text)
    if whole is None or not part:
        return False
    return _is_mainly(whole, text) or (len(part) >= _PHRASE and _is_in(part, _words(whole)))


def answering(calls: Sequence[ModelCall], answer: BaseMessage) -> ModelCall | None:
    """The call of a model that an answer came of; where none was heard to say it, the last one."""
    latest = list(reversed(calls))
    text = answer.text.strip()
    by_id = (each for each in latest if answer.id is not None and each.answer.id == answer.id)
    by_text = (each for each in latest if text and each.answer.text.strip() == text)
    by_part = (each for each in latest if Saying(each.answer).repeats(_whole(answer)))
    for found in (by_id, by_text, by_part, iter(latest)):
        if (call := next(found, None)) is not None:
            return call
    return None


def leaves_of(value: Any) -> list[str]:
    """The texts in a value, of messages what they say."""
    return list(_leaves(value))


def canonical(value: Any) -> str | None:
    """The JSON by which equal objects are known; None for what is none."""
    if not isinstance(value, Mapping | list | tuple | BaseModel) or not value:
        return None
    try:
        return as_json(value)
    except UsageError:
        return None


def _is_listed(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


def _whole(answer: BaseMessage) -> Any:
    """An answer as the object that it is the JSON of, else its text."""
    read = parsed(answer)
    return read if isinstance(read, dict | list) else answer.text


def _text(value: Any) -> str | None:
    if isinstance(value, Mapping | tuple) and is_answer(value):
        value = message_of(value)
    return plain_text(value)


def _leaves(value: Any) -> Iterator[str]:
    text = _text(value)
    if text is not None:
        yield text
    elif isinstance(value, Mapping | list | tuple):
        inside = value.values() if isinstance(value, Mapping) else value
        for each in inside:
            yield from _leaves(each)


def _words(text: str) -> list[str]:
    return [kept for word in text.casefold().split() if (kept := word.strip(_EDGES))]


def _is_in(part: list[str], whole: list[str]) -> bool:
    return f" {' '.join(part)} " in f" {' '.join(whole)} "


def _is_mainly(one: str, other: str) -> bool:
    """Whether the shorter text stands in the longer one and is at least half of it."""
    short, long = sorted((_words(one), _words(other)), key=len)
    return bool(short) and 2 * len(short) >= len(long) and _is_in(short, long)
