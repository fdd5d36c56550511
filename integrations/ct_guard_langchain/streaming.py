"""Streams that end in a confidence: a model's, in an empty chunk with the record; a chain's, in its
last part, which is kept back for it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, message_chunk_to_message
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables.utils import AddableDict

from ct_guard.errors import BackendError

from .record import KEY, ConfidenceRecord, attach

__all__ = ["Parts", "can_stream", "joined", "last_chunk", "opened", "retold", "whole"]


def can_stream(model: BaseChatModel, *, sync: bool) -> bool:
    """Whether the model streams by itself; an async call can also use a sync stream."""
    kind = type(model)
    streams = kind._stream is not BaseChatModel._stream
    return streams or (not sync and kind._astream is not BaseChatModel._astream)


def opened(chunk: ChatGenerationChunk) -> ChatGenerationChunk:
    """The chunk as one that others follow: it does not end the stream, and a record that it brings
    along gives way to the one at the end, because two cannot be merged."""
    message = chunk.message
    metadata = {key: value for key, value in message.response_metadata.items() if key != KEY}
    update: dict[str, object] = {"response_metadata": metadata}
    if isinstance(message, AIMessageChunk):
        update["chunk_position"] = None
    return ChatGenerationChunk(
        message=message.model_copy(update=update), generation_info=chunk.generation_info
    )


def whole(parts: Sequence[ChatGenerationChunk], model: BaseChatModel) -> BaseMessage:
    """The message that the parts of a stream make together.

    Raises BackendError for a stream without a single part.
    """
    chunks = [
        part.message.model_copy(
            update={
                "response_metadata": {
                    **(part.generation_info or {}),
                    **part.message.response_metadata,
                }
            }
        )
        for part in parts
        if isinstance(part.message, AIMessageChunk)
    ]
    if not chunks:
        raise BackendError(f"{type(model).__name__} streamed nothing: there is no answer to score")
    end = AIMessageChunk(content=_nothing(chunks[-1]), chunk_position="last")
    return message_chunk_to_message(add_ai_message_chunks(chunks[0], *chunks[1:], end))


def last_chunk(record: ConfidenceRecord | None, after: BaseMessage) -> ChatGenerationChunk:
    """The empty chunk that ends a stream and carries the record of what was streamed."""
    metadata = {} if record is None else {KEY: record}
    return ChatGenerationChunk(
        message=AIMessageChunk(
            content=_nothing(after), response_metadata=metadata, chunk_position="last"
        )
    )


def retold(result: ChatResult) -> Iterator[ChatGenerationChunk]:
    """An answer that is complete, as a stream: what it says, then the end with its record."""
    generation = result.generations[0]
    message = generation.message
    metadata = dict(message.response_metadata)
    record = metadata.pop(KEY, None)
    spoken = AIMessageChunk(
        content=message.content,
        additional_kwargs=message.additional_kwargs,
        response_metadata=metadata,
        id=message.id,
        name=message.name,
        **(
            {
                "tool_calls": message.tool_calls,
                "invalid_tool_calls": message.invalid_tool_calls,
                "usage_metadata": message.usage_metadata,
            }
            if isinstance(message, AIMessage)
            else {}
        ),
    )
    yield ChatGenerationChunk(message=spoken, generation_info=generation.generation_info)
    yield last_chunk(record, spoken)


def _nothing(like: BaseMessage) -> str | list[str | dict[str, object]]:
    """Empty content that merges with that of `like`."""
    return "" if isinstance(like.content, str) else []


def joined(whole: Any, part: Any) -> Any:
    """The stream so far and its next part; where they do not add up, the latest counts."""
    if whole is None:
        return part
    try:
        return whole + part
    except TypeError:
        return part


class Parts:
    """Parts of a dict whose `output` is an answer in the making.

    All but the latest are passed on as they come; the last one goes out together with the
    confidence, so that exactly one part carries it. With `hold` nothing is passed on before.
    """

    def __init__(self, output_key: str, *, hold: bool) -> None:
        self._output_key, self.hold = output_key, hold
        self.whole: dict[str, Any] = {}
        """All parts joined, key by key."""
        self._kept: Mapping[str, Any] | None = None

    def add(self, part: Mapping[str, Any]) -> Iterator[Any]:
        """What can be passed on now that this part is here."""
        self.whole |= {key: joined(self.whole.get(key), value) for key, value in part.items()}
        if self._kept is not None and not self.hold:
            yield AddableDict(self._kept)
        self._kept = part

    def last(self, guarded: Mapping[str, Any] | Exception) -> Any:
        """The last part, given what became of the whole: all of it, where it was held. Raises what
        the whole ended in."""
        if isinstance(guarded, Exception):
            raise guarded
        if self.hold or self._kept is None:
            return AddableDict(guarded)
        part = AddableDict(self._kept, confidence=guarded["confidence"])
        said = part.get(self._output_key)
        if isinstance(said, BaseMessage):
            part[self._output_key] = attach(said, guarded["confidence"])
        return part
