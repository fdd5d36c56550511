"""Chat models that say what a test wrote down, word by word when streamed."""

import json
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr

__all__ = ["Echo", "Scripted", "calling", "model"]


class Scripted(BaseChatModel):
    """Says `script` line by line; an exception in it is raised; after its end it raises."""

    script: list[Any]
    asked: list[list[BaseMessage]] = Field(default_factory=list)
    """The messages of each call, in order."""

    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        with self._lock:
            line = self.script[len(self.asked)] if len(self.asked) < len(self.script) else None
            self.asked.append(messages)
        if line is None:
            raise AssertionError(f"the model was asked once more: {messages}")
        if isinstance(line, Exception):
            raise line
        said = AIMessage(line) if isinstance(line, str) else line
        return said.model_copy()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        said = self._next(messages)
        calls = [
            tool_call_chunk(
                name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=at
            )
            for at, call in enumerate(said.tool_calls)
        ]
        last = AIMessageChunk(
            content="", tool_call_chunks=calls, usage_metadata=said.usage_metadata
        )
        words = [AIMessageChunk(content=word) for word in re.findall(r"\S+\s*", said.text)]
        for piece in [*words, last]:
            chunk = ChatGenerationChunk(message=piece)
            if run_manager is not None:
                run_manager.on_llm_new_token(piece.text, chunk=chunk)
            yield chunk

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    @property
    def _llm_type(self) -> str:
        return "scripted"


class Echo(BaseChatModel):
    """Says what it was asked."""

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        said = AIMessage(messages[-1].text)
        return ChatResult(generations=[ChatGeneration(message=said)])

    @property
    def _llm_type(self) -> str:
        return "echo"


def model(*script: Any) -> Scripted:
    return Scripted(script=list(script))


def calling(name: str, call_id: str = "call-1", *, text: str = "", **args: Any) -> AIMessage:
    """A message that calls one tool."""
    return AIMessage(text, tool_calls=[{"name": name, "args": args, "id": call_id}])
