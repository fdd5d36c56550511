"""What a chain is given and what it returns, as messages: plain text, prompts, messages, the states
of agents, dicts with an answer in them, and structured output."""

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    convert_to_messages,
)
from langchain_core.prompt_values import PromptValue

from ct_guard.errors import UsageError

from .direct import direct_answer
from .envelopes import is_answer, is_graph_output, last_answer, message_of, opened, plain_text
from .messages import as_json
from .provided import ending
from .sayings import Saying

__all__ = [
    "ANSWERS",
    "ECHOED",
    "Selector",
    "answer_key",
    "answer_of",
    "as_ended",
    "as_heard",
    "asked_of",
    "context_in",
    "context_of",
    "is_question",
    "passages",
]

Selector = str | Callable[[Any], Any]
"""Where in a chain's output something is: a key, or a function of the output."""

_QUESTIONS = ("messages", "question", "input", "query")
"""Keys under which a chain's input is known to hold what is asked, the first one first."""

ANSWERS = ("answer", "output", "text", "result")
"""Keys under which chains are known to answer."""

ECHOED = (
    "question", "input", "query", "context", "source_documents", "documents", "chat_history",
    "intermediate_steps",
)  # fmt: skip
"""Keys under which chains repeat what they were asked, what they read, and what was done."""


_ASKED = ("question", "questions", "query", "queries")
"""How a key ends under which a chain keeps what it asks: rewritten, or in parts."""


def is_question(key: Any) -> bool:
    """Whether a key of a chain's output holds what is asked, in whichever words."""
    return isinstance(key, str) and key.lower().endswith(_ASKED)


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
    """What a chain answered: of messages and of an agent's state the last AI message, or the
    results of its calls where these end the run; of a dict the part that `answer` names, or which
    is known to hold one; of structured output the JSON; of objects and lists alike; of anything
    else its text. `heard` is what the last model in it said.

    Raises UsageError for a dict in which no answer can be told from what was asked and read.
    """
    if is_graph_output(output):
        return answer_of(output.value, answer=answer, heard=heard)
    if answer is not None:
        return as_heard(answer_of(_selected(output, answer)), heard)
    match output:
        case BaseMessage():
            return output
        case str():
            return as_heard(AIMessage(output), heard)
        case None:
            return AIMessage("")
        case {"raw": BaseMessage() as raw, "parsed": read}:
            return raw if read is None else answer_of(read)
        case {"messages": [*_], "structured_response": read} if read is not None:
            return answer_of(read)
        case {"messages": [*_] as messages} if answer_key(output, heard) is None:
            return answer_of(messages)
        case Mapping() if is_answer(output):
            return as_heard(message_of(output), heard)
        case Mapping():
            key = answer_key(output, heard)
            if key is not None:
                return answer_of(output[key], heard=heard)
            if not _is_said(output, heard) and any(name in output for name in ECHOED):
                raise UsageError(
                    f"the answer is under none of the keys {', '.join(map(repr, output))}: name"
                    " it, as in guard.wrap(chain, answer='reply')"
                )
        case [*_] if (said := direct_answer(output)) is not None:
            return said
        case [*_] if (at := last_answer(output)) is not None:
            return message_of(output[at])
        case [_, *_] if all(isinstance(each, BaseMessage) for each in output):
            return AIMessage("")
    return AIMessage(as_json(output))


def answer_key(output: Mapping[Any, Any], heard: BaseMessage | None = None) -> Any | None:
    """The key of a dict that holds its answer: what a model was heard to say, or a known key of a
    dict that repeats what was asked or read; None for structured output."""
    if _is_said(output, heard):
        return None
    keys = sorted(output, key=lambda key: key in ECHOED)
    if heard is not None and (said := heard.text.strip()):
        same = (key for key in keys if plain_text(output[key]) == said)
        if (key := next(same, None)) is not None:
            return key
    known = [key for key in ANSWERS if isinstance(output.get(key), str | BaseMessage)]
    if not any(name in output for name in ECHOED):
        return known[0] if known and len(output) == 1 else None
    read = [key for key in keys if _is_said(output[key], heard)]
    others = [key for key in ANSWERS if output.get(key) is not None]
    return next(iter([*read, *known, *others]), None)


def _is_said(value: Any, heard: BaseMessage | None) -> bool:
    """Whether it is structured output, as a model said it."""
    return heard is not None and Saying(heard).is_object(value)


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


def as_heard(answer: BaseMessage, heard: BaseMessage | None) -> BaseMessage:
    """The model's own message, where it says the same: it tells more, as who answered."""
    same = heard is not None and heard.text.strip() == answer.text.strip()
    return heard if heard is not None and same and not answer.response_metadata else answer


def as_ended(answer: BaseMessage, heard: BaseMessage | None) -> BaseMessage:
    """The answer, made of a model's message, with why that ended."""
    if heard is None or answer.response_metadata:
        return answer
    return answer.model_copy(update={"response_metadata": ending(heard.response_metadata)})


def _selected(output: Any, selector: Selector) -> Any:
    if callable(selector):
        return selector(output)
    if isinstance(output, Mapping) and selector in output:
        return output[selector]
    got = f"the keys {', '.join(map(repr, output))}" if isinstance(output, Mapping) else "no dict"
    raise UsageError(f"no answer is under {selector!r}: the chain's output has {got}")
