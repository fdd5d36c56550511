"""What a chain is given and what it returns, as messages: plain text, prompts, messages, the states
of agents, dicts with an answer in them, and structured output."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    ToolMessage,
    convert_to_messages,
)
from langchain_core.prompt_values import PromptValue
from langchain_core.utils.json import parse_json_markdown

from ct_guard.errors import UsageError

from .delivery import withheld_error
from .envelopes import envelope, is_graph_output, opened
from .fields import dropped_in, object_without, without_fields
from .messages import as_json
from .record import attach, record_in

__all__ = [
    "Selector",
    "answer_key",
    "answer_of",
    "asked_of",
    "context_in",
    "context_of",
    "passages",
    "with_answer",
]

Selector = str | Callable[[Any], Any]
"""Where in a chain's output something is: a key, or a function of the output."""

_QUESTIONS = ("messages", "question", "input", "query")
"""Keys under which a chain's input is known to hold what is asked, the first one first."""

_ANSWERS = ("answer", "output", "text", "result")
"""Keys under which chains are known to answer."""

_ECHOED = (
    "question", "input", "query", "context", "source_documents", "documents", "chat_history",
    "intermediate_steps",
)  # fmt: skip
"""Keys under which chains repeat what they were asked, what they read, and what was done."""


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
            return convert_to_messages(list(map(opened, value)))
    raise UsageError(f"{type(value).__name__} is no question: give a text or messages")


def answer_of(
    output: Any, *, answer: Selector | None = None, heard: BaseMessage | None = None
) -> BaseMessage:
    """What a chain answered: of messages and of an agent's state the last AI message, of a dict the
    part that `answer` names, or which is known to hold one; of structured output the JSON; of
    objects and lists alike; of anything else its text. `heard` is what the last model in it said.

    Raises UsageError for a dict in which no answer can be told from what was asked and read.
    """
    if is_graph_output(output):
        return answer_of(output.value, answer=answer, heard=heard)
    if answer is not None:
        return _as_heard(answer_of(_selected(output, answer)), heard)
    match output:
        case BaseMessage():
            return output
        case str():
            return _as_heard(AIMessage(output), heard)
        case None:
            return AIMessage("")
        case {"raw": BaseMessage() as raw, "parsed": parsed}:
            return raw if parsed is None else answer_of(parsed)
        case {"messages": [*_], "structured_response": parsed} if parsed is not None:
            return answer_of(parsed)
        case {"messages": [*_] as messages} if answer_key(output, heard) is None:
            return answer_of(messages)
        case Mapping() if _is_answer(output):
            return _as_heard(_message(output), heard)
        case Mapping():
            key = answer_key(output, heard)
            if key is not None:
                return answer_of(output[key], heard=heard)
            if any(name in output for name in _ECHOED):
                raise UsageError(
                    f"the answer is under none of the keys {', '.join(map(repr, output))}: name"
                    " it, as in guard.wrap(chain, answer='reply')"
                )
        case [*_] if (at := _last_answer(output)) is not None:
            return _message(output[at])
        case [_, *_] if all(isinstance(each, BaseMessage) for each in output):
            return AIMessage("")
    return AIMessage(as_json(output))


def answer_key(output: Mapping[Any, Any], heard: BaseMessage | None = None) -> Any | None:
    """The key of a dict that holds its answer: what a model was heard to say, or a known key of a
    dict that repeats what was asked or read; None for structured output."""
    if heard is not None:
        if _parsed(heard) == output:
            return None
        said = heard.text.strip()
        same = (key for key in output if _text(output[key]) == said)
        if said and (key := next(same, None)) is not None:
            return key
    known = [key for key in _ANSWERS if isinstance(output.get(key), str | BaseMessage)]
    if known and (len(output) == 1 or any(name in output for name in _ECHOED)):
        return known[0]
    return None


def context_in(value: Any) -> str | None:
    """The passages that a question in a dict brings along, under `context`."""
    found = value.get("context") if isinstance(value, Mapping) else None
    return passages(found) or None


def context_of(output: Any, value: Any, selector: Selector) -> str:
    """The passages of a chain: by a key of its output, else of its input, or by a function of the
    output. Texts and documents are joined by blank lines."""
    if callable(selector):
        found = selector(output)
    else:
        holders = [each for each in (output, value) if isinstance(each, Mapping)]
        found = next((each[selector] for each in holders if selector in each), None)
        if found is None:
            raise UsageError(
                f"no passages are under {selector!r} in the chain's output or input: name their key"
                " as `context`, or give a function of the output"
            )
    return passages(found)


def passages(found: Any) -> str:
    """Texts, documents, or lists of them, as one text."""
    match found:
        case None:
            return ""
        case str():
            return found
        case {"page_content": str() as text}:
            return text
        case [*_]:
            return "\n\n".join(filter(None, map(passages, found)))
    return str(getattr(found, "page_content", found))


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
        case Mapping() if answer is None and _is_answer(output):
            return _like(output, said, replaced)
        case Mapping():
            return _with_answer_in(output, said, replaced, answer, heard)
        case [*_] if _last_answer(output) is not None or _all_messages(output):
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
    changed = replaced or bool(_dropped(said))
    if isinstance(key, str) and key in made:
        made[key] = with_answer(made[key], said, replaced=replaced)
        if changed:
            made |= _repetitions(output, key, _text(output[key]), said)
    elif key is not None or "messages" not in made:
        return None if replaced else object_without(output, _dropped(said))
    if isinstance(messages := made.get("messages"), list):
        made["messages"] = with_answer(messages, said, replaced=replaced)
        if changed and key is None and (at := _last_answer(messages)) is not None:
            made |= _repetitions(output, "messages", _text(_message(messages[at])), said)
    if "structured_response" in made:
        structured = made["structured_response"]
        made["structured_response"] = (
            None if replaced else object_without(structured, _dropped(said))
        )
    return made


def _repetitions(
    output: Mapping[Any, Any], key: str, withheld: str | None, said: BaseMessage
) -> dict[Any, Any]:
    """What else in a dict is the text of its replaced answer, and no question or passage: replaced
    alike."""

    def alike(value: Any) -> Any:
        match value:
            case str() | BaseMessage() if _text(value) == withheld:
                return with_answer(value, said, replaced=True)
            case dict():
                return {name: alike(each) for name, each in value.items()}
            case list():
                return [alike(each) for each in value]
        return value

    others = (name for name in output if withheld and name not in (key, "messages", *_ECHOED))
    return {name: alike(output[name]) for name in others}


def _with_last(output: Sequence[Any], said: BaseMessage, replaced: bool) -> list[Any]:
    """The last AI message changed. Where it was replaced, what its calls led to goes with it: the
    result of a tool is nothing without its call."""
    at = _last_answer(output)
    at = len(output) if at is None else at
    rest = list(output[at + 1 :])
    if replaced:
        rest = [each for each in rest if not isinstance(_message(each), ToolMessage)]
    if at == len(output):
        return [*output, said]
    return [*output[:at], _like(output[at], said, replaced), *rest]


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


def _as_heard(answer: BaseMessage, heard: BaseMessage | None) -> BaseMessage:
    """The model's own message, where it says the same: it tells more, as who answered."""
    same = heard is not None and heard.text.strip() == answer.text.strip()
    return heard if heard is not None and same and not answer.response_metadata else answer


def _selected(output: Any, selector: Selector) -> Any:
    if callable(selector):
        return selector(output)
    if isinstance(output, Mapping) and selector in output:
        return output[selector]
    got = f"the keys {', '.join(map(repr, output))}" if isinstance(output, Mapping) else "no dict"
    raise UsageError(f"no answer is under {selector!r}: the chain's output has {got}")


def _parsed(heard: BaseMessage) -> Any:
    """What a model said, read as JSON; None where it is none."""
    try:
        return parse_json_markdown(heard.text)
    except ValueError:
        return None


def _text(value: Any) -> str | None:
    if isinstance(value, BaseMessage):
        return str(value.text).strip()
    return value.strip() if isinstance(value, str) else None


def _last_answer(messages: Sequence[Any]) -> int | None:
    """Where the last AI message stands, also one that is plain JSON or a pair of role and text."""
    places = (at for at in reversed(range(len(messages))) if _is_answer(messages[at]))
    return next(places, None)


def _is_answer(source: Any) -> bool:
    match opened(source):
        case ChatMessage(role=role):
            return role.lower() in ("assistant", "ai")
        case BaseMessage() as message:
            return isinstance(message, AIMessage)
        case {"role": "assistant" | "ai", "content": _} | {"type": "ai", "content": _}:
            return True
        case ("assistant" | "ai", str() | [{"type": _}, *_]):
            return True
    return False


def _message(source: Any) -> BaseMessage:
    return convert_to_messages([opened(source)])[0]


def _all_messages(output: Sequence[Any]) -> bool:
    return bool(output) and all(isinstance(each, BaseMessage) for each in output)
