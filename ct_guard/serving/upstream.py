"""The server behind: requests are sent on, and its errors are its own."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from anyio import move_on_after
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from ct_guard.errors import ServerError
from ct_guard.remote import bounded, one_line, without_secrets

from .bodies import as_error
from .settings import Upstream

__all__ = ["Forwarder", "UpstreamFailed", "answer_failed", "passed_on"]

_SENT = ("openai-", "traceparent", "tracestate", "x-request-id", "idempotency-key")
"""Beginnings of the names of headers that go on to the upstream."""
_RETURNED = ("openai-", "x-request-id", "x-ratelimit-", "retry-after")
"""Of those that come back."""
_CONNECT_SECONDS = 10.0
_END_SECONDS = 0.1
"""The end of a reply is waited for behind its last event."""


@dataclass
class UpstreamFailed(Exception):
    """The upstream's error, as the client is given it; never leaves this room."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"HTTP {self.status}: {one_line(self.body)}"

    def response(self) -> Response:
        kind = self.headers.get("content-type", "application/json")
        return Response(self.body, self.status, passed_on(self.headers), kind)


async def answer_failed(request: Request, error: Exception) -> Response:
    """Starlette's handler of `UpstreamFailed`."""
    assert isinstance(error, UpstreamFailed)  # noqa: S101  # handlers are typed for any error
    return error.response()


def passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of the upstream's that a client is given."""
    return {name: value for name, value in headers.items() if name.lower().startswith(_RETURNED)}


class Forwarder:
    """Sends requests to the upstream, over connections that it keeps. Redirects are not followed:
    another host would get the key and the texts. Nothing is sent twice: clients ask again, and know
    when."""

    def __init__(self, upstream: Upstream, *, keeps_clients_key: bool) -> None:
        self._upstream, self._keeps = upstream, keeps_clients_key
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(upstream.timeout, connect=_CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=256),
            headers={"Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def whole(
        self, path: str, headers: Headers, body: bytes | None
    ) -> tuple[httpx.Response, bytes]:
        """The reply to a request, read to its end. Raises UpstreamFailed."""
        response = await self.opened(path, headers, body)
        try:
            async with self._told():
                found = await bounded(response)
        finally:
            await response.aclose()
        if found is None:
            raise self._failed(502, "its reply is longer than any may be")
        return response, found

    async def opened(self, path: str, headers: Headers, body: bytes | None) -> httpx.Response:
        """The reply as soon as it begins, to be closed by the caller. Raises UpstreamFailed where
        it is an error."""
        request = self._client.build_request(
            "GET" if body is None else "POST",
            f"{self._upstream.url}{path}",
            content=body,
            headers=self._sent(headers),
        )
        async with self._told():
            response = await self._client.send(request, stream=True)
        if response.status_code == httpx.codes.OK:
            return response
        try:
            async with self._told():
                found = await bounded(response)
        finally:
            await response.aclose()
        if response.is_redirect:
            raise self._failed(502, "it redirects, which is not followed: give the URL it is at")
        said = without_secrets((found or b"").decode("utf-8", "replace"), self._upstream.key)
        raise UpstreamFailed(response.status_code, said.encode(), dict(response.headers))

    async def parts(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """The body, piece by piece. Raises UpstreamFailed where it breaks off."""
        async with self._told():
            async for part in response.aiter_bytes():
                yield part

    async def left(self, response: httpx.Response, parts: AsyncGenerator[bytes, None]) -> None:
        """Close a reply whose `parts` were read as far as they are wanted. Its connection is kept
        only where it was read to the end, which mostly has come by then."""
        try:
            async with aclosing(parts):
                with suppress(UpstreamFailed), move_on_after(_END_SECONDS):
                    async for _ in parts:
                        pass
        finally:
            await response.aclose()

    def _sent(self, headers: Headers) -> dict[str, str]:
        sent = {name: value for name, value in headers.items() if name.startswith(_SENT)}
        sent["Content-Type"] = "application/json"
        if self._upstream.key:
            sent["Authorization"] = f"Bearer {self._upstream.key}"
        elif self._keeps and "authorization" in headers:
            sent["Authorization"] = headers["authorization"]
        return sent

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        """Errors of the connection, as the client is told of them."""
        try:
            yield
        except httpx.TimeoutException as error:
            raise self._failed(504, f"no reply in time ({type(error).__name__})") from None
        except ServerError as error:
            raise self._failed(502, str(error)) from None
        except httpx.HTTPError as error:
            said = one_line(str(error).encode("utf-8", "replace")) or type(error).__name__
            raise self._failed(502, said) from None

    def _failed(self, status: int, problem: str) -> UpstreamFailed:
        said = without_secrets(f"the upstream failed: {problem}", self._upstream.key)
        error: dict[str, Any] = as_error(status, said, "upstream_failed")
        return UpstreamFailed(status, json.dumps(error).encode())
