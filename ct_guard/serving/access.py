"""Who is let in, with how much, and how many at a time: before anything of a request is read."""

import hmac
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .bodies import Refused
from .settings import Settings

__all__ = ["Access", "is_loopback"]

OPEN = frozenset({"/health"})
"""Paths that say nothing that a stranger may not know."""
_DISCARDED = 8
"""A body that is too long is read on to so many times its limit: a client that is cut off while it
sends does not read why."""


def is_loopback(host: str) -> bool:
    """Whether a name or address is that of this machine to itself."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Access:
    """An application behind a token, a limit of bytes and one of requests at a time.

    Without a token, requests must name this machine: a page of a stranger's in a browser here could
    otherwise ask by a name of its own that resolves to 127.0.0.1.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._token = settings.token.encode()
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        headers, most = Headers(scope=scope), self._settings.most_bytes
        try:
            self._check(headers)
            if _declared(headers) > most:
                await _discard(receive, _DISCARDED * most)
                raise _too_long(most)
        except Refused as refused:
            await refused.response()(scope, receive, send)
            return
        self.running += 1
        try:
            await self._app(scope, _limited(receive, most), send)
        finally:
            self.running -= 1

    def _check(self, headers: Headers) -> None:
        if not self._token and not is_loopback(_name_in(headers.get("host", ""))):
            raise Refused(
                403,
                "this server has no token, and is for its own machine: ask for localhost, or start"
                " it with a token (--token-env, --token-file)",
                "not_local",
            )
        if self._token and not any(
            hmac.compare_digest(shown, self._token) for shown in _tokens(headers)
        ):
            raise Refused(
                401,
                "this server wants its token, as 'Authorization: Bearer …' or 'x-api-key: …'",
                "invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if self.running >= self._settings.most_requests:
            raise Refused(
                429,
                f"{self.running} requests are being answered, and no more may be at a time: ask"
                " again in a second, or start the server with a larger --most-requests",
                "too_many_requests",
                headers={"Retry-After": "1"},
            )


def _tokens(headers: Headers) -> list[bytes]:
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    shown = [bearer.strip()] if kind.lower() == "bearer" else []
    return [one.encode("latin-1", "replace") for one in (*shown, headers.get("x-api-key", ""))]


def _name_in(host: str) -> str:
    """The name in a `Host` header, without its port."""
    if host.startswith("["):
        return host.partition("]")[0]
    return host.partition(":")[0]


def _declared(headers: Headers) -> int:
    said = headers.get("content-length", "")
    return int(said) if said.isdecimal() and len(said) < 16 else 0


def _too_long(most: int) -> Refused:
    return Refused(
        413,
        f"the body is longer than {most:,} bytes: send less, or start the server with a larger"
        " --most-bytes",
        "body_too_long",
    )


async def _discard(receive: Receive, most: int) -> None:
    read, more = 0, True
    while more and read < most:
        message = await receive()
        read += len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)


def _limited(receive: Receive, most: int) -> Receive:
    """`receive` that raises Refused once more bytes have come than may."""
    read = 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            if message.get("more_body", False):
                await _discard(receive, _DISCARDED * most)
            raise _too_long(most)
        return message

    return counted
