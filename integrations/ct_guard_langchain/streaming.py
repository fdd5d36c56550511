"""Streams of chat models, which end in an empty chunk with the record."""

from collections.abc import Iterator, Sequence

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, message_chunk_to_message
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from ct_guard.errors import BackendError

from .record import KEY, ConfidenceRecord, OwnRecord

__all__ = ["can_stream", "last_chunk", "opened", "rest_of", "retold", "text_chunk", "whole"]


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
    metadata = {} if record is None else {KEY: OwnRecord(record)}
    return ChatGenerationChunk(
        message=AIMessageChunk(
            content=_nothing(after), response_metadata=metadata, chunk_position="last"
        )
    )


def text_chunk(text: str) -> ChatGenerationChunk:
    """A part of a stream that says this."""
    return ChatGenerationChunk(message=AIMessageChunk(content=text))


def rest_of(result: ChatResult, streamed: ConfidenceRecord | None) -> Iterator[ChatGenerationChunk]:
    """What a stream has to say yet: of an answer that was held all of it, of one whose text was
    streamed nothing; then the empty chunk that ends it, with usage and record, which is `streamed`
    where the text was."""
    generation = result.generations[0]
    message = generation.message
    metadata = dict(message.response_metadata)
    if streamed is not None:
        metadata[KEY] = OwnRecord(streamed)
    elif message.text:
        yield text_chunk(message.text)
    end = AIMessageChunk(
        content="",
        response_metadata=metadata,
        usage_metadata=getattr(message, "usage_metadata", None),
        chunk_position="last",
    )
    yield ChatGenerationChunk(message=end, generation_info=generation.generation_info)


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
