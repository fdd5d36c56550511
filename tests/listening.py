"""ASGI applications on 127.0.0.1, and a stand-in of an OpenAI API that a server forwards to."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

Message = dict[str, Any]


@contextmanager
def listening(app: ASGIApp) -> Iterator[str]:
    """The application on a port of its own, by its URL, for the time of the block."""
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < until, "the server did not start in time"
            time.sleep(0.005)
        (bound,) = server.servers
        yield f"http://127.0.0.1:{bound.sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def answering(text: str) -> Message:
    return {"role": "assistant", "content": text}


def calling(*calls: tuple[str, Any]) -> Message:
    """A message that calls tools, each a name with its arguments."""
    listed = [
        {
            "id": f"call-{number}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for number, (name, arguments) in enumerate(calls)
    ]
    return {"role": "assistant", "content": None, "tool_calls": listed}


@dataclass
class ChatApi:
    """An OpenAI API that says what `says` makes of a request: a message for each choice."""

    says: Callable[[dict[str, Any]], list[Message]]
    beside: dict[str, Any] = field(default_factory=dict)
    """Fields of every completion and chunk, beside OpenAI's."""
    status: int = 200
    breaks: bool = False
    """Whether streams end in the middle of an answer, without a word."""
    pause: float = 0.0
    """Seconds between two words of an answer."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    callers: list[Any] = field(default_factory=list)
    """The other ends of the connections that requests came over."""
    left: threading.Event = field(default_factory=threading.Event)
    """Set when a reader has gone away before the end of an answer."""

    @property
    def app(self) -> Starlette:
        routes = [
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/v1/models", lambda request: JSONResponse({"object": "list", "data": []})),
        ]
        return Starlette(routes=routes)

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        self.callers.append(request.client)
        if self.status != 200:
            error = {"message": "not today", "type": "some_error", "param": None, "code": None}
            return JSONResponse({"error": error}, self.status, headers={"retry-after": "7"})
        messages = self.says(body)
        about = {"id": f"chat-{len(self.asked)}", "created": 1, "model": body["model"],
                 **self.beside}  # fmt: skip
        if body.get("stream"):
            stream = self._chunks(about, messages)
            return StreamingResponse(stream, media_type="text/event-stream")
        words = sum(len((message["content"] or "").split()) for message in messages)
        if await self._is_left(request, words * self.pause):
            return Response()
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": "stop"}
            for index, message in enumerate(messages)
        ]
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        fields = {"object": "chat.completion", **about, "choices": choices, "usage": usage}
        return JSONResponse(fields, headers={"x-request-id": about["id"]})

    async def _is_left(self, request: Request, seconds: float) -> bool:
        """Whether the reader goes away within this time."""
        if not seconds:
            return False
        with suppress(TimeoutError):
            await asyncio.wait_for(request.receive(), seconds)
            self.left.set()
        return self.left.is_set()

    async def _chunks(self, about: Message, messages: list[Message]) -> AsyncIterator[str]:
        """Words in turn of all choices."""
        ended = False
        try:
            for index, delta in _deltas(messages):
                choice = {"index": index, "delta": delta, "finish_reason": None}
                yield _event({**about, "object": "chat.completion.chunk", "choices": [choice]})
                await asyncio.sleep(self.pause)
                if self.breaks and "role" not in delta:
                    raise ConnectionResetError("the stand-in breaks off")
            for index in range(len(messages)):
                choice = {"index": index, "delta": {}, "finish_reason": "stop"}
                yield _event({**about, "object": "chat.completion.chunk", "choices": [choice]})
            yield "data: [DONE]\n\n"
            ended = True
        finally:
            if not ended:
                self.left.set()


def _deltas(messages: list[Message]) -> Iterator[tuple[int, Message]]:
    for index in range(len(messages)):
        yield index, {"role": "assistant", "content": ""}
    words = [(message["content"] or "").split(" ") for message in messages]
    for at in range(max(map(len, words))):
        for index, said in enumerate(words):
            if at < len(said):
                yield index, {"content": said[at] + (" " if at + 1 < len(said) else "")}
    for index, message in enumerate(messages):
        for number, call in enumerate(message.get("tool_calls", ())):
            function = {"name": call["function"]["name"], "arguments": ""}
            yield index, {"tool_calls": [{**call, "index": number, "function": function}]}
            for letter in call["function"]["arguments"]:
                piece = {"index": number, "function": {"arguments": letter}}
                yield index, {"tool_calls": [piece]}


def _event(chunk: Message) -> str:
    return f"data: {json.dumps(chunk)}\n\n"
