"""Models behind a URL that speaks the OpenAI chat protocol: hosted ones, vLLM, llama-server, …"""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from ct_guard.remote import (
    MOST_BYTES,
    bounded,
    checked_url,
    key_from,
    one_line,
    retry_after,
    without_secrets,
)

from .base import Reply, Request, reply_of

__all__ = ["OpenAIAnswerer"]

LONGEST_WAIT = 60.0
"""Seconds between two attempts, at most, whatever the server asks for."""

FAILURES_IN_A_ROW = 8
"""Requests that failed for good, one after the other, before the server counts as down."""

_HINTS = {
    401: "check the key: `key_env` names the environment variable that holds it",
    403: "the key may not use this model",
    404: "check the URL (it usually ends in /v1) and the model's name",
}
NEWER_LIMIT = "max_completion_tokens"


class OpenAIAnswerer:
    """POSTs to `URL/chat/completions`, `concurrency` requests at a time.

    Rate limits (429), server errors (5xx), broken connections, time-outs and replies that are not
    JSON are tried again, `retries` times, after waits that double or that the server names
    (`Retry-After`). Other refusals are final: for the whole run where the URL or the key is wrong,
    for the one request else. `timeout` bounds an attempt as a whole, in seconds.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key_env: str | None = None,
        timeout: float = 60.0,
        retries: int = 4,
        concurrency: int = 8,
        first_wait: float = 1.0,
    ) -> None:
        """The key is read from the environment variable `key_env`; None sends none. Raises
        UsageError for a URL that is none, or that holds credentials."""
        self.name = model
        address = checked_url(url, like="http://localhost:8000/v1")
        self._url = f"{address.removesuffix('/chat/completions')}/chat/completions"
        self._key = key_from(key_env) if key_env is not None else ""
        self._timeout = timeout
        self._attempts = retries + 1
        self.concurrency = concurrency
        self._first_wait = first_wait
        self._failures = 0
        self._limit = "max_tokens"

    @property
    def settings(self) -> Mapping[str, str | float | int | bool | None]:
        return {"url": self._url}

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        return asyncio.run(self._answer(requests))

    async def _answer(self, requests: Sequence[Request]) -> list[Reply]:
        places = asyncio.Semaphore(self.concurrency)
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        async with httpx.AsyncClient(headers=headers, timeout=None) as client:  # noqa: S113  _post
            return await asyncio.gather(*(self._one(client, places, one) for one in requests))

    async def _one(
        self, client: httpx.AsyncClient, places: asyncio.Semaphore, request: Request
    ) -> Reply:
        async with places:  # kept while waiting: fewer requests are what a busy server needs
            error = ""
            for attempt in range(self._attempts):
                if self._failures >= FAILURES_IN_A_ROW:
                    return Reply(None, f"{self._failures} requests in a row failed", stop=True)
                reply, wait = await self._ask(client, request)
                if wait is None:
                    self._failures = 0
                    return reply
                error = f"{reply.error} ({attempt + 1} attempts)"
                if attempt < self._attempts - 1:
                    await asyncio.sleep(self._pause(attempt, wait))
            self._failures += 1
            return Reply(None, error, stop=self._failures >= FAILURES_IN_A_ROW)

    async def _ask(self, client: httpx.AsyncClient, request: Request) -> tuple[Reply, float | None]:
        """One attempt; two where the server wants the limit of tokens under its newer name, which
        is kept for the rest of the run."""
        limit = self._limit
        reply, wait = await self._post(client, request, limit)
        renamed = (reply.error or "").startswith("HTTP 400") and NEWER_LIMIT in str(reply.error)
        if not renamed or limit == NEWER_LIMIT:
            return reply, wait
        self._limit = NEWER_LIMIT
        return await self._post(client, request, NEWER_LIMIT)

    def _payload(self, request: Request, limit: str) -> dict[str, Any]:
        sampling = request.sampling
        payload: dict[str, Any] = {
            "model": self.name,
            "messages": [turn.model_dump() for turn in request.turns],
            limit: sampling.max_tokens,
            "temperature": sampling.temperature,
        }
        return payload if sampling.temperature == 0 else {**payload, "seed": sampling.seed}

    async def _post(
        self, client: httpx.AsyncClient, request: Request, limit: str
    ) -> tuple[Reply, float | None]:
        """One attempt: the reply, and the seconds to wait before another one; None: final."""
        try:
            async with (
                asyncio.timeout(self._timeout),
                client.stream("POST", self._url, json=self._payload(request, limit)) as response,
            ):
                body = await bounded(response)
        except TimeoutError:
            return self._failed(f"no reply within {self._timeout:g} seconds"), 0.0
        except httpx.RequestError as error:
            return self._failed(f"no connection: {error or type(error).__name__}"), 0.0
        if body is None:
            return self._failed(f"the reply is longer than {MOST_BYTES >> 20} MB"), None
        status = response.status_code
        if status == httpx.codes.OK:
            reply = _reply_in(body, request.sampling.max_tokens)
            if reply is None:
                return self._failed(f"no answer in the reply: {one_line(body)}"), 0.0
            if reply.text is None:
                return reply, None
            return replace(reply, text=without_secrets(reply.text, self._key)), None
        said = f"HTTP {status}: {one_line(body)}"
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
            return self._failed(said), retry_after(response.headers.get("Retry-After"))
        hint = _HINTS.get(status)
        if hint is None and status >= 400:
            return self._failed(said), None
        return self._failed(f"{said}; {hint or 'this URL leads elsewhere'}", stop=True), None

    def _failed(self, error: str, *, stop: bool = False) -> Reply:
        return Reply(None, without_secrets(error, self._key), stop)

    def _pause(self, attempt: int, asked: float) -> float:
        """Doubling, with a random share so that requests do not return all at once."""
        own: float = self._first_wait * 2.0**attempt * random.uniform(0.5, 1.0)  # noqa: S311
        return min(LONGEST_WAIT, max(own, asked))


def _reply_in(body: bytes, max_tokens: int) -> Reply | None:
    """What the first choice says, None where it says nothing."""
    try:
        choice = json.loads(body)["choices"][0]
        message = choice["message"]
        content, refusal = message.get("content"), message.get("refusal")
        finish = choice.get("finish_reason")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        content = "".join(part for part in parts if isinstance(part, str))
    return reply_of(
        content if isinstance(content, str) else None,
        finish=finish if isinstance(finish, str) else None,
        refusal=refusal if isinstance(refusal, str) else None,
        max_tokens=max_tokens,
    )
