"""Requests whose client goes away before it is answered: nothing more is done for them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

__all__ = ["while_there"]

Answer = TypeVar("Answer")


def while_there(
    endpoint: Callable[[Request], Awaitable[Answer]],
) -> Callable[[Request], Awaitable[Answer]]:
    """The endpoint, which is cancelled where its client goes away: what it reads from an upstream
    is left, and what waits to be scored is not scored. Then ClientDisconnect is raised."""

    async def answer(request: Request) -> Answer:
        await request.body()  # behind it, nothing is received but that the client has gone
        working = asyncio.ensure_future(endpoint(request))
        gone = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise ClientDisconnect
        finally:
            for task in (working, gone):
                task.cancel()
            await asyncio.gather(working, gone, return_exceptions=True)

    return answer
