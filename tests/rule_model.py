"""A chat model without weights: it calls the tools it is given, fills in schemas, streams, counts
its tokens, and is the same whoever asks."""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool


class RuleChatModel(BaseChatModel):
    """What it does with a conversation:

    * told to call tools (`tool_choice`), or asked about something that one of its tools names, it
      calls one, taking the arguments from the last human turn: numbers in their order, quoted text,
      else the turn itself;
    * told to answer in a schema, it fills one in from the same turn, as JSON;
    * else it says `reply`, or the last turn when it has none.
    """

    model_name: str = "rule-1"
    reply: str = ""
    stop: list[str] | None = None
    asked: list[dict[str, Any]] = []
    """The keywords of each call."""

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.asked.append(kwargs)
        text, calls = self._answer(messages, stop or self.stop or [], kwargs)
        message = AIMessage(
            text,
            tool_calls=calls,
            usage_metadata=_usage(messages, text),
            response_metadata={"model_name": kwargs.get("model", self.model_name)},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        self.asked.append(kwargs)
        text, calls = self._answer(messages, stop or self.stop or [], kwargs)
        pieces = [AIMessageChunk(content=piece) for piece in re.findall(r"\S+\s*|\s+", text)]
        for at, call in enumerate(calls):
            args = json.dumps(call["args"], ensure_ascii=False)
            half = len(args) // 2
            pieces += [
                AIMessageChunk(content="", tool_call_chunks=[{"index": at, **part}])
                for part in (
                    {"name": call["name"], "args": args[:half], "id": call["id"]},
                    {"name": None, "args": args[half:], "id": None},
                )
            ]
        pieces.append(
            AIMessageChunk(
                content="",
                usage_metadata=_usage(messages, text),
                response_metadata={"model_name": kwargs.get("model", self.model_name)},
                chunk_position="last",
            )
        )
        for piece in pieces:
            chunk = ChatGenerationChunk(message=piece)
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, None, **kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, stop, None, **kwargs):
            yield chunk

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(each) for each in tools], **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: str = "function_calling",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        model = self.bind(
            response_format=convert_to_json_schema(schema),
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
        )
        parser: Runnable[Any, Any] = (
            PydanticOutputParser(pydantic_object=schema)
            if isinstance(schema, type) and hasattr(schema, "model_validate")
            else JsonOutputParser()
        )
        if not include_raw:
            return model | parser
        read = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        )
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | read.with_fallbacks([failed], exception_key="parsing_error")

    def _answer(
        self, messages: list[BaseMessage], stop: list[str], kwargs: dict[str, Any]
    ) -> tuple[str, list[dict[str, Any]]]:
        turns = [message.text for message in messages if isinstance(message, HumanMessage)]
        asked = turns[-1] if turns else ""
        if schema := kwargs.get("response_format"):
            return json.dumps(_filled(schema, asked), ensure_ascii=False), []
        tool = _chosen(kwargs, asked, answered=isinstance(messages[-1], ToolMessage))
        if tool is not None:
            args = _filled(tool["parameters"], asked)
            return "", [{"name": tool["name"], "args": args, "id": f"call-{len(messages)}"}]
        text = self.reply or messages[-1].text or "Hello."
        for mark in stop:
            text = text.partition(mark)[0]
        return text, []

    @property
    def _llm_type(self) -> str:
        return "rule"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "reply": self.reply}


def _chosen(kwargs: dict[str, Any], asked: str, *, answered: bool) -> dict[str, Any] | None:
    """The tool to call: the one it is told to, else the first one that the turn hints at."""
    tools: list[dict[str, Any]] = [tool["function"] for tool in kwargs.get("tools", [])]
    choice = kwargs.get("tool_choice")
    if choice not in (None, "auto", "none"):
        return next((tool for tool in tools if tool["name"] == choice), tools[0])
    if answered or choice == "none":
        return None
    words = set(re.findall(r"\w+", asked.lower()))
    return next((tool for tool in tools if words & set(tool["name"].lower().split("_"))), None)


def _filled(schema: dict[str, Any], asked: str) -> dict[str, Any]:
    """The schema's fields from the text: numbers in their order, quoted text, else all of it."""
    numbers = iter(re.findall(r"-?\d+", asked))
    quoted = re.findall(r"'([^']+)'", asked)
    filled: dict[str, Any] = {}
    for name, about in schema.get("properties", {}).items():
        kind = about.get("type", "string")
        if kind in ("integer", "number"):
            filled[name] = int(next(numbers, "0"))
        else:
            filled[name] = quoted[0] if quoted else asked
    return filled


def _usage(messages: Sequence[BaseMessage], text: str) -> UsageMetadata:
    """A token is a word."""
    read = sum(len(message.text.split()) for message in messages)
    said = len(text.split())
    return UsageMetadata(input_tokens=read, output_tokens=said, total_tokens=read + said)
