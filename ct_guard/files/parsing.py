"""From the fields of a row to the records that the rest of ct-guard works on."""

import json
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from unicodedata import category

from ct_guard.conversation import ChatTurn, is_cut_off
from ct_guard.records import QuestionAnswer, alone_key, unchecked

from .conversation import ROLES, before, is_thought, opened, read_calls, spoken_turns
from .lists import list_of_texts
from .rows import Row
from .token_logprobs import numbers_of, tokens_of
from .untrusted_json import with_each_name_once

__all__ = ["Rejected", "Told", "correct_of", "question_answer", "texts_of", "told_by"]

_WORDS = {"true": 1.0, "false": 0.0, "correct": 1.0, "incorrect": 0.0}
_MISSING = ("", "none", "null", "na", "n/a", "#n/a", "<na>")
"""What programs write for a value that is not there."""
_TEXT_PARTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
"""Types of parts that hold text, and where."""
_UNSPOKEN = {"tool_use", "tool_call", "tool_result", "thinking", "redacted_thinking", "reasoning"}
"""Types of parts that are read elsewhere, or that are thoughts: no part of what was said."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_SUBSTITUTE = "\x1a"
_UNSEEN = ("Cc", "Cf")
"""Control and format characters."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a row cannot be used: `invalid` data, or data of an `unsupported` kind."""

    status: Literal["invalid", "unsupported"]
    message: str
    """One line that names file, line and field."""


class Told(NamedTuple):
    """What a row tells of an answer, for files of many rows: as a `QuestionAnswer`, without making
    and checking a record of each."""

    key: str
    """`QuestionAnswer.question_key()`."""
    asked: str
    """`QuestionAnswer.asked()`."""
    answer: str
    id: str | None
    model: str | None
    logprobs: tuple[float, ...] | None


class _FieldError(Exception):
    """A field of the row at hand cannot be used; never leaves this module."""

    def __init__(self, problem: str, status: Literal["invalid", "unsupported"] = "invalid") -> None:
        super().__init__(problem)
        self.status = status


def question_answer(row: Row, columns: Collection[str] = ()) -> QuestionAnswer | Rejected:
    """The question and answer of a row.

    Absent, null and text that shows nothing mean the same for every column but `answer`, where null
    and such text are an empty answer, and without which the assistant's turn that ends `messages`
    is judged. Calls of tools among `messages` are read as text of the conversation. Numbers are
    accepted as `answer` and `id`. A lone surrogate, which no UTF-8 text can hold, becomes U+001A
    SUBSTITUTE: a control character, which cleaning removes and reports. What the row has in other
    `columns` is kept.
    """
    if row.error is not None:
        return Rejected("invalid", row.error)
    try:
        return _question_answer(row.fields, columns)
    except _FieldError as error:
        return Rejected(error.status, f"{row.where}: {error}")


def told_by(row: Row) -> Told | Rejected:
    """What `question_answer` says of a row, in short."""
    fields = row.fields
    if row.error is None and fields.get("messages") in (None, "") and "answer" in fields:
        try:
            question = _optional_text(fields, "question")
            if question is not None:
                answer = _optional_text(fields, "answer", numbers=True) or ""
                context = _optional_text(fields, "context")
                asked = f"{context}\n\n{question}" if context else question
                return Told(
                    alone_key(asked),
                    asked,
                    answer,
                    _optional_text(fields, "id", numbers=True),
                    _optional_text(fields, "model"),
                    _logprobs(fields.get("logprobs")),
                )
        except _FieldError as error:
            return Rejected(error.status, f"{row.where}: {error}")
    item = question_answer(row)
    if isinstance(item, Rejected):
        return item
    return Told(item.question_key(), item.asked(), item.answer, item.id, item.model, item.logprobs)


def correct_of(row: Row) -> bool | Rejected | None:
    """Whether the answer is correct; None where the row does not say.

    Accepted: true and false, 1 and 0 however they are written (1.0, as programs write whole numbers
    in a column with gaps), and these as text in any case.
    """
    if row.error is not None:
        return Rejected("invalid", row.error)
    value = row.fields.get("correct")
    if value is None or value == "":
        return None
    number = _number(value.strip().lower()) if isinstance(value, str) else value
    if number is None and isinstance(value, str) and value.strip().lower() in _MISSING:
        return None
    if isinstance(number, float) and math.isnan(number):
        return None
    if not isinstance(number, (bool, int, float)) or number not in (0, 1):
        shown = json.dumps(value)[:40]
        return Rejected(
            "invalid",
            f"{row.where}: field 'correct' must be true or false (or 1 or 0), found {shown}",
        )
    return bool(number)


def _number(text: str) -> float | None:
    if text in _WORDS:
        return _WORDS[text]
    try:
        return float(text)
    except ValueError:
        return None


def texts_of(row: Row, name: str) -> tuple[str, ...] | Rejected:
    """The texts in a field that holds one or several: text, a number, or a list of these. Text that
    is itself a list of texts, which is how CSV holds one, is taken as that list, by whichever
    library it was written. Absent, null and `""` are none."""
    if row.error is not None:
        return Rejected("invalid", row.error)
    value = row.fields.get(name)
    if isinstance(value, str):
        try:
            listed = list_of_texts(value)
        except ValueError as error:
            return Rejected("invalid", f"{row.where}: field '{name}' {error}: write it as JSON")
        value = value if listed is None else listed
    items = value if isinstance(value, list) else [value]
    try:
        texts = [_optional_text({name: item}, name, numbers=True) for item in items]
    except _FieldError as error:
        return Rejected(error.status, f"{row.where}: {error}")
    return tuple(text for text in texts if text is not None)


def _question_answer(fields: dict[str, Any], columns: Collection[str]) -> QuestionAnswer:
    turns = _turns(fields["messages"]) if "messages" in fields else []
    question = _optional_text(fields, "question")
    if "answer" in fields:
        answer = _optional_text(fields, "answer", numbers=True) or ""
        turns = before(answer, turns, question)
    else:
        answer = _last_said(turns, question)
        turns = turns[:-1]
    messages = spoken_turns(turns, question) if turns else ()
    if question is None and not (messages and messages[-1].role == "user"):
        ending = ", and 'messages' does not end in a user turn" if messages else ""
        state = "missing" if fields.get("question") is None else "empty"
        raise _FieldError(f"field 'question' is {state}{ending}")
    return unchecked(
        QuestionAnswer,
        {
            "question": question or "",
            "answer": answer,
            "context": _optional_text(fields, "context"),
            "messages": messages,
            "id": _optional_text(fields, "id", numbers=True),
            "model": _optional_text(fields, "model"),
            "group": None,
            "logprobs": _logprobs(fields["logprobs"]) if "logprobs" in fields else None,
            "fields": None,
            "cut_off": is_cut_off(fields.get("finish_reason")),
            "columns": _kept(fields, columns) if columns else {},
        },
    )


def _kept(fields: dict[str, Any], columns: Collection[str]) -> dict[str, Any]:
    return {name: fields[name] for name in columns if fields.get(name) not in (None, "")}


def _last_said(turns: list[ChatTurn], question: str | None) -> str:
    """The answer of a row without that field: the last turn of a conversation, as data sets of
    chats have it."""
    if question is None and turns and turns[-1].role == "assistant" and not turns[-1].calls:
        return turns[-1].text
    ending = ", and 'messages' does not end in an assistant's turn to be judged" if turns else ""
    raise _FieldError(f"field 'answer' is missing{ending}")


def _optional_text(fields: dict[str, Any], name: str, *, numbers: bool = False) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        text = value if value.isascii() else _encodable(value)
        return text if _shows(text) else None
    if numbers and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    expected = "text or a number" if numbers else "text"
    raise _FieldError(f"field '{name}' must be {expected}, found {_kind(value)}")


def _logprobs(value: Any) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        return numbers_of(tokens_of(value)) or None
    except ValueError as error:
        raise _FieldError(f"field 'logprobs' {error}") from None


def _turns(value: Any) -> list[ChatTurn]:
    if value is None:
        return []
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value, object_pairs_hook=with_each_name_once)
        except (ValueError, RecursionError) as error:
            raise _FieldError(
                f"field 'messages' is not JSON: {error}; write it with json.dumps"
            ) from None
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    if not isinstance(value, list):
        raise _FieldError(f"field 'messages' must be a list, found {_kind(value)}")
    return [
        _turn(item, f"messages[{index}]")
        for index, item in enumerate(value)
        if not is_thought(item)
    ]


def _turn(item: Any, name: str) -> ChatTurn:
    if not isinstance(item, dict):
        raise _FieldError(f"field '{name}' must be an object, found {_kind(item)}")
    item = opened(item)
    role = item.get("role")
    if not isinstance(role, str) or role not in ROLES:
        known = ", ".join(ROLES)
        raise _FieldError(f"field '{name}.role' must be one of {known}, found {_kind(role)}")
    try:
        calls = tuple((call, _encodable(text)) for call, text in read_calls(item))
    except ValueError as error:
        raise _FieldError(f"field '{name}.tool_calls' {error}") from None
    if "content" not in item and not calls:
        raise _FieldError(f"field '{name}.content' is missing")
    content = item.get("content")
    if content is None:
        content = item.get("refusal")  # which OpenAI's API gives beside it
    return ChatTurn(
        role=ROLES[role],
        text=_content(content, f"{name}.content"),
        calls=calls,
        answers=_results(content, f"{name}.content"),
        call=str(item.get("tool_call_id") or ""),
        name=_encodable(str(item.get("name") or item.get("tool_name") or "")),
    )


def _content(content: Any, name: str) -> str:
    if content is None:  # how chat APIs write a turn that only calls tools
        return ""
    if isinstance(content, str):
        return _encodable(content)
    if isinstance(content, list):
        return "".join(_part(part, f"{name}[{index}]") for index, part in enumerate(content))
    raise _FieldError(f"field '{name}' must be text or a list of parts, found {_kind(content)}")


def _results(content: Any, name: str) -> tuple[tuple[str, str, str], ...]:
    """Results of tools among the parts of a turn."""
    return tuple(
        (
            str(part.get("tool_use_id") or ""),
            _encodable(str(part.get("name") or "")),
            _content(part.get("content"), f"{name}[{index}]"),
        )
        for index, part in enumerate(content if isinstance(content, list) else ())
        if isinstance(part, dict) and part.get("type") == "tool_result"
    )


def _part(part: Any, name: str) -> str:
    if isinstance(part, str):
        return _encodable(part)
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        raise _FieldError(f"field '{name}' must be a part with a 'type', found {_kind(part)}")
    if kind in _UNSPOKEN or part.get("thought") is True:
        return ""
    if kind not in _TEXT_PARTS:
        raise _FieldError(
            f"field '{name}' is of type {kind[:40]!r}; only text is scored", "unsupported"
        )
    text = part.get(_TEXT_PARTS[kind])
    if not isinstance(text, str):
        raise _FieldError(f"field '{name}.{_TEXT_PARTS[kind]}' must be text, found {_kind(text)}")
    return _encodable(text)


def _shows(text: str) -> bool:
    """Whether there is anything in a text that is seen."""
    return any(not sign.isspace() and category(sign) not in _UNSEEN for sign in text)


def _encodable(text: str) -> str:
    return text if text.isascii() else _LONE_SURROGATE.sub(_SUBSTITUTE, text)


def _kind(value: Any) -> str:
    """What a JSON value is, in words; short strings are shown, since they may be a misspelling."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value[:40])
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"
