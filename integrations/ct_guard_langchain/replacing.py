"""The output of a chain with another answer in place of the one that was judged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, ToolMessage
from pydantic import BaseModel

from .delivery import withheld_error
from .direct import direct_answer, with_result
from .envelopes import (
    all_messages,
    envelope,
    is_answer,
    is_asked,
    is_graph_output,
    last_answer,
    message_of,
    plain_text,
)
from .fields import dropped_in, object_without, without_fields
from .outputs import ECHOED, Selector, answer_key, is_question
from .record import attach, record_in
from .sayings import Saying, repeated_in

__all__ = ["with_answer"]

_DONE = ("chat_history", "intermediate_steps")
"""Keys of what is echoed under which the answer may stand too, and nothing that is made of it."""


def with_answer(
    output: Any,
    said: BaseMessage,
    *,
    replaced: bool,
    answer: Selector | None = None,
    heard: BaseMessage | None = None,
) -> Any:
    """The output with its answer in place of the one that was judged, in the form that it has; all
    else in it stays, but for what repeats an answer that was replaced. Structured output cannot say
    anything else: it becomes None where the answer was replaced."""
    if is_graph_output(output):
        value = with_answer(output.value, said, replaced=replaced, answer=answer, heard=heard)
        return replace(output, value=value)
    match output:
        case BaseMessage():
            return said
        case str():
            return said.text if replaced or _dropped(said) else output
        case {"raw": BaseMessage() as raw, "parsed": parsed} if answer is None:
            record = record_in(said)
            if not replaced:
                dropped = _dropped(said)
                kept = attach(without_fields(raw, dropped), record) if record else raw
                return {**output, "raw": kept, "parsed": object_without(parsed, dropped)}
            error = {"parsing_error": withheld_error(record)} if "parsing_error" in output else {}
            return {**output, "raw": said, "parsed": None, **error}
        case Mapping() if answer is None and is_answer(output):
            return _like(output, said, replaced)
        case Mapping():
            return _with_answer_in(output, said, replaced, answer, heard)
        case [*_] if last_answer(output) is not None or all_messages(output):
            return _with_last(output, said, replaced)
    return None if replaced else object_without(output, _dropped(said))


def _dropped(said: BaseMessage) -> list[str]:
    record = record_in(said)
    return [] if record is None else dropped_in(record)


def _with_answer_in(
    output: Mapping[Any, Any],
    said: BaseMessage,
    replaced: bool,
    answer: Selector | None,
    heard: BaseMessage | None,
) -> Any:
    key = answer if answer is not None else answer_key(output, heard)
    made = dict(output)
    if isinstance(key, str) and key in made:
        made[key] = with_answer(made[key], said, replaced=replaced, heard=heard)
    elif key is not None or "messages" not in made:
        return None if replaced else object_without(output, _dropped(said))
    messages, at = output.get("messages"), "messages" if key is None else key
    changes = replaced or key is None or _text_at(messages) == plain_text(said)
    if isinstance(messages, list) and key != "messages" and changes:
        made["messages"] = with_answer(messages, said, replaced=replaced)
    if "structured_response" in made:
        structured = made["structured_response"]
        made["structured_response"] = (
            None if replaced else object_without(structured, _dropped(said))
        )
    if replaced or _dropped(said):
        withheld = _Withheld(_text_at(output[at]), said, heard if replaced else None)
        for name in output:
            if name in (at, "messages"):
                continue
            if name in _DONE or (is_question(name) and name not in ECHOED):
                made[name] = withheld.replaced_in(made[name])
            elif name not in ECHOED:
                made[name] = withheld.without(made[name], name)
    return made


class _Withheld:
    """An answer that was replaced, wherever else in an output it stands, and whatever stands there
    of the model's message that it came of."""

    def __init__(self, text: str | None, said: BaseMessage, heard: BaseMessage | None) -> None:
        self._text, self._said = text, said
        self._heard = Saying(heard) if heard is not None else None

    def without(self, value: Any, name: Any = None) -> Any:
        """The value without it: the answer itself is replaced alike, the others are None."""
        if self._is_it(value):
            return with_answer(value, self._said, replaced=True)
        if self._heard is not None and self._heard.has(name, value):
            return None
        if isinstance(value, Document):
            return None if self._is_it(value.page_content) else value
        if isinstance(value, set | frozenset):
            told = [each for each in value if self.without(each) is not each]
            return value - set(told) if told else value
        if (parts := _attributes(value)) is not None:
            told = [name for name, each in parts.items() if self.without(each, name) is not each]
            return None if told else value
        made = _with_parts(value, self.without)
        return None if made is value and self._text and repeated_in(value, self._text) else made

    def replaced_in(self, value: Any) -> Any:
        """The value with the answer itself replaced, and nothing else."""
        if self._is_it(value):
            return with_answer(value, self._said, replaced=True)
        return _with_parts(value, lambda each, _: self.replaced_in(each))

    def _is_it(self, value: Any) -> bool:
        return bool(self._text) and plain_text(value) == self._text


def _attributes(value: Any) -> dict[str, Any] | None:
    """Of an object of a caller's own."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, BaseModel) and not isinstance(value, BaseMessage):
        return dict(value)
    return None


def _with_parts(value: Any, change: Callable[[Any, Any], Any]) -> Any:
    """A dict, list or tuple with its parts changed, by value and name; itself, where none is."""
    if isinstance(value, dict):
        made: Any = {key: change(each, key) for key, each in value.items()}
        return made if any(made[key] is not value[key] for key in value) else value
    if type(value) in (list, tuple):
        made = [change(each, None) for each in value]
        same = all(one is other for one, other in zip(made, value, strict=True))
        return value if same else type(value)(made)
    return value


def _text_at(value: Any) -> str | None:
    """The text of an answer, of messages that of the last one."""
    if not isinstance(value, list):
        return plain_text(value)
    if (direct := direct_answer(value)) is not None:
        return plain_text(direct)
    at = last_answer(value)
    return None if at is None else plain_text(message_of(value[at]))


def _with_last(output: Sequence[Any], said: BaseMessage, replaced: bool) -> list[Any]:
    """The last AI message changed, or the result that ends the run. Where it was replaced, what its
    calls led to goes with it: the result of a tool is nothing without its call."""
    if not replaced and direct_answer(output) is not None:
        return _with_last_result(output, said)
    at = last_answer(output)
    before, rest = (output, []) if at is None else (output[:at], output[at + 1 :])
    if replaced:
        rest = [each for each in rest if not isinstance(message_of(each), ToolMessage)]
        before = _unrepeated(before, output[at], said) if at is not None else before
    if at is None:
        before = [each for each in output if not (replaced and isinstance(each, ToolMessage))]
        return [*before, said]
    return [*before, _like(output[at], said, replaced), *rest]


def _unrepeated(before: Sequence[Any], withheld: Any, said: BaseMessage) -> list[Any]:
    """The messages before an answer that was replaced; those of the same turn that say the same, as
    an agent does that hands on another's answer, are replaced alike."""
    text, made = plain_text(message_of(withheld)), list(before)
    for at in reversed(range(len(made))):
        if is_asked(made[at]):
            break
        if not text or not is_answer(made[at]):
            continue
        message = message_of(made[at])
        if plain_text(message) == text:
            made[at] = _like(made[at], said.model_copy(update={"id": message.id}), True)
    return made


def _with_last_result(output: Sequence[Any], said: BaseMessage) -> list[Any]:
    made = list(output)
    at = max(at for at, each in enumerate(made) if isinstance(message_of(each), ToolMessage))
    if isinstance(made[at], ToolMessage):
        made[at] = with_result(made[at], said, replaced=bool(_dropped(said)))
    return made


def _like(form: Any, said: BaseMessage, replaced: bool) -> Any:
    """The message in the form that it had: plain JSON, also as LangChain stores it, and pairs stay
    as they are unless replaced."""
    if isinstance(form, BaseMessage):
        return said
    if not replaced and not _dropped(said):
        return form
    if isinstance(form, Mapping) and (inside := envelope(form)) is not None:
        return {**form, inside: _like(form[inside], said, replaced)}
    if isinstance(form, Mapping):
        kept = {key: form[key] for key in ("type", "role", "id", "name") if key in form}
        return {**kept, "content": said.text}
    return type(form)((form[0], said.text))
