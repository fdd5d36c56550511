"""Chat completions as OpenAI's API writes them: what is asked, what is said, and what is left of an
answer that is withheld."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ct_guard.files.conversation import read_calls
from ct_guard.policies import Turn

__all__ = ["Asked", "Heard", "Said", "harmless", "instead"]

_HARMLESS = ("id", "object", "created", "model", "service_tier", "system_fingerprint", "usage")
"""What stands beside the choices and cannot hold their words; citations and whatever else providers
add can."""


@dataclass(frozen=True)
class Asked:
    """A request for a chat completion."""

    body: bytes
    fields: dict[str, Any]

    @property
    def model(self) -> str:
        return str(self.fields.get("model") or "")

    @property
    def stream(self) -> bool:
        return self.fields.get("stream") is True

    @property
    def messages(self) -> Any:
        return self.fields.get("messages")

    @property
    def wants_object(self) -> bool:
        """Whether the answer is to be JSON: clients read one that is withheld as a refusal then."""
        form = self.fields.get("response_format")
        return isinstance(form, dict) and form.get("type") in ("json_schema", "json_object")

    def body_for(self, model: str) -> bytes:
        if model == self.model:
            return self.body
        return json.dumps({**self.fields, "model": model}, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Said:
    """One answer of a completion."""

    index: int
    text: str
    """What was said, without calls of tools."""
    calls: tuple[str, ...] = ()
    """Each in its canonical form, `name({"arg": value, …})`."""
    names: tuple[str, ...] = ()
    """The tools that are called, in the same order."""
    logprobs: Any = None
    finish: Any = None
    """The reason that is given for its end."""

    @classmethod
    def of(cls, choice: Mapping[str, Any]) -> "Said":
        """A choice of a completion. Raises ValueError for one of another form."""
        message = choice.get("message")
        if not isinstance(message, dict):
            raise ValueError("a choice without a message")
        listed = message.get("tool_calls") or [message.get("function_call")]
        called = [each for each in listed if isinstance(each, dict)]
        return cls(
            index=_index(choice),
            text=_text(message.get("content")) or _text(message.get("refusal")),
            calls=tuple(text for _, text in read_calls(message)),
            names=tuple(str(one.get("function", one).get("name")) for one in called),
            logprobs=choice.get("logprobs"),
            finish=choice.get("finish_reason"),
        )

    @property
    def turn(self) -> Turn:
        return "tool_call" if self.calls else "answer"

    def parts(self) -> list[str]:
        """What is judged of it: the answer or, of several calls, each by itself."""
        calls = self.calls if len(self.calls) > 1 else ("\n".join(self.calls),)
        return ["\n".join(filter(None, [self.text, call])) for call in calls]


class Heard:
    """The choices of a stream, put together from its chunks."""

    def __init__(self) -> None:
        self._choices: dict[int, dict[str, Any]] = {}
        self.about: dict[str, Any] = {}
        """What every chunk says of the completion."""

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Raises ValueError for a chunk of another form."""
        for name in _HARMLESS:
            if chunk.get(name) is not None and (name == "usage" or name not in self.about):
                self.about[name] = chunk[name]
        for choice in _choices(chunk):
            delta = choice.get("delta")
            kept = self._choices.setdefault(_index(choice), {"content": "", "refusal": ""})
            if isinstance(delta, dict):
                for name in ("content", "refusal"):
                    kept[name] += _text(delta.get(name))
                _add_calls(kept, delta)
            kept["finish"] = choice.get("finish_reason") or kept.get("finish")
            _add_logprobs(kept, choice.get("logprobs"))

    def choices(self) -> list[dict[str, Any]]:
        """In the form of a completion that was not streamed."""
        return [
            {
                "index": index,
                "message": {
                    "content": kept["content"],
                    "refusal": kept["refusal"],
                    "tool_calls": [call for _, call in sorted(kept.get("calls", {}).items())],
                },
                "logprobs": {"content": kept["logprobs"]} if "logprobs" in kept else None,
                "finish_reason": kept["finish"],
            }
            for index, kept in sorted(self._choices.items())
        ]

    def chunk(self, choices: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """One more chunk of the same completion."""
        about = {name: value for name, value in self.about.items() if name != "usage"}
        return {**about, "object": "chat.completion.chunk", "choices": list(choices)}


def harmless(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a completion, without its words."""
    return {name: fields[name] for name in _HARMLESS if name in fields}


def instead(message: str, *, wants_object: bool) -> dict[str, Any]:
    """The message that stands in for one that is withheld. Where an object was wanted, a text is
    none: it is a refusal, which clients tell from an object."""
    told = {"content": None, "refusal": message} if wants_object else {"content": message}
    return {"role": "assistant", **told}


def _choices(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    listed = fields.get("choices")
    if not isinstance(listed, list):
        return
    yield from (choice for choice in listed if isinstance(choice, dict))


def _index(choice: Mapping[str, Any]) -> int:
    index = choice.get("index", 0)
    if not isinstance(index, int) or not 0 <= index < 1000:
        raise ValueError("a choice whose index is no number")
    return index


def _text(content: Any) -> str:
    """The text of a message's content: text, or parts of which only texts were said."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _add_calls(kept: dict[str, Any], delta: Mapping[str, Any]) -> None:
    listed = delta.get("tool_calls")
    old = delta.get("function_call")
    if isinstance(old, dict):  # the older form, of one call
        listed = [{"index": 0, "function": old}]
    for piece in listed if isinstance(listed, list) else ():
        if not isinstance(piece, dict):
            continue
        empty = {"id": "", "function": {"name": "", "arguments": ""}}
        call = kept.setdefault("calls", {}).setdefault(_index(piece), empty)
        call["id"] = call["id"] or piece.get("id") or ""
        said = piece.get("function")
        for name in ("name", "arguments"):
            call["function"][name] += _text(said.get(name)) if isinstance(said, dict) else ""


def _add_logprobs(kept: dict[str, Any], logprobs: Any) -> None:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if isinstance(content, list):
        kept.setdefault("logprobs", []).extend(content)
