"""One server's connections: requests from any thread or event loop, each answered by its deadline.

All run on an event loop in a thread of the pool's own, over one set of kept connections. Reading a
score changes nothing on a server, so that whatever says nothing of the request itself is tried
again: a connection that was refused or broke, a body that ended early, 429 and 5xx. A silent server
is not asked again, as it may compute still; a redirect is not followed, since another host would
get the key and the texts.
"""

import asyncio
import json
import os
import ssl
import threading
import weakref
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import httpx

from ct_guard.errors import BackendError, ServerError
from ct_guard.forks import ForkLock
from ct_guard.remote import MOST_BYTES, bounded, checked_url, one_line, retry_after, without_secrets

from .patience import Breaker, Patience

__all__ = ["Ask", "Pool"]

Found = TypeVar("Found")
Result = TypeVar("Result")

LIKE = "http://localhost:8000"
AUTHORITIES = "SSL_CERT_FILE"
"""The variable that names a file of authorities, in place of the public ones."""
_AGAIN = frozenset({429, 500, 502, 503, 504})
_HINTS = {
    401: "; it wants a key: name the environment variable, or the file, that holds it",
    403: "; the key may not do this",
    404: "; check the URL, which is the server's root, and the model's name",
}


@dataclass(frozen=True)
class Ask(Generic[Found]):
    """A request, and how its reply is read. `read` raises ServerError for what is no answer."""

    path: str
    read: Callable[[Any], Found]
    payload: dict[str, Any] | None = None
    """Sent as JSON; None: a GET."""
    accepts: tuple[int, ...] = ()
    """Statuses besides 200 that say what they are to say: `read` gets None."""


class _Failed(Exception):
    """The server failed, and not the request: it may be asked `again`, after `wait` seconds."""

    def __init__(self, problem: str, wait: float = 0.0, *, again: bool = True) -> None:
        super().__init__(problem)
        self.wait, self.again = wait, again


class Pool:
    """At most `concurrency` requests at a time. Safe to use from any thread, and after a fork.

    Raises UsageError for a URL that is none, or that holds credentials.
    """

    def __init__(
        self, url: str, *, key: str = "", patience: Patience | None = None, concurrency: int = 32
    ) -> None:
        self.url = checked_url(url, like=LIKE)
        self.concurrency = concurrency
        self._key, self._patience = key, patience or Patience()
        self._breaker = Breaker()
        self._runner: _Runner | None = None
        self._starting = ForkLock(self._after_fork)
        self._closed = False

    def _after_fork(self) -> None:
        """The thread is the parent's, and so are the sockets: they are kept, and left alone."""
        _of_parents.append(self._runner)
        self._runner, self._breaker = None, Breaker()

    # --- asking ---------------------------------------------------------------------------------

    def all(self, chains: Sequence[Sequence[Ask[Found]]]) -> list[list[Found]]:
        """What each request's reply is read as. The requests of a chain go out one after the other;
        chains go side by side. The first error ends them all, and is raised."""
        future = self._submit(chains)
        try:
            return future.result()
        except CancelledError:
            raise BackendError("this backend was closed while the server was asked") from None
        except KeyboardInterrupt:
            future.cancel()
            raise

    async def all_async(self, chains: Sequence[Sequence[Ask[Found]]]) -> list[list[Found]]:
        """The same, from an event loop, which goes on meanwhile."""
        return await asyncio.wrap_future(self._submit(chains))

    def one(self, ask: Ask[Found]) -> Found:
        return self.all([[ask]])[0][0]

    def close(self) -> None:
        """End what runs and drop the connections. Asking afterwards raises BackendError."""
        with self._starting:
            self._closed = True
            if self._runner is not None:
                self._runner.stop()

    def _submit(self, chains: Sequence[Sequence[Ask[Found]]]) -> "Future[list[list[Found]]]":
        with self._starting:
            if self._closed:
                raise BackendError("this backend is closed")
            if self._runner is None:
                self._runner = _Runner(self._client)
            return self._runner.submit(self._all(self._runner.client, chains))

    def _client(self) -> httpx.AsyncClient:
        headers = {"Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            return httpx.AsyncClient(
                headers=headers,
                timeout=self._patience.phases,
                limits=httpx.Limits(
                    max_connections=self.concurrency, max_keepalive_connections=self.concurrency
                ),
            )
        except OSError as error:  # of the file of authorities, the only one that it reads
            named = os.environ.get(AUTHORITIES, "")
            raise ServerError(
                f"{AUTHORITIES} names {named!r}, which is no file of certificates:"
                f" {error.strerror or error}"
            ) from None

    # --- on the loop ----------------------------------------------------------------------------

    async def _all(
        self, client: httpx.AsyncClient, chains: Sequence[Sequence[Ask[Found]]]
    ) -> list[list[Found]]:
        found: list[list[Found]] = [[] for _ in chains]
        waiting = iter(enumerate(chains))

        async def work() -> None:
            for at, chain in waiting:
                for ask in chain:
                    found[at].append(await self._ask(client, ask))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(len(chains), self.concurrency)):
                    group.create_task(work())
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        return found

    async def _ask(self, client: httpx.AsyncClient, ask: Ask[Found]) -> Found:
        self._breaker.check()
        try:
            async with asyncio.timeout(self._patience.total):
                reply = await self._attempts(client, ask)
        except TimeoutError:
            self._breaker.failed()
            raise ServerError(
                f"{self.url}{ask.path}: no reply within {self._patience.total:g} seconds: give"
                " more time, or the server less to do"
            ) from None
        except _Failed as error:
            self._breaker.failed()
            raise self._error(ask, str(error)) from None
        self._breaker.worked()
        try:
            return ask.read(reply)
        except ServerError as error:
            raise self._error(ask, str(error)) from None

    async def _attempts(self, client: httpx.AsyncClient, ask: Ask[Any]) -> Any:
        """The reply as JSON."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._patience.total
        attempt = 0
        while True:
            try:
                return await self._attempt(client, ask)
            except _Failed as error:
                if not error.again:
                    raise
                if attempt == self._patience.retries:
                    raise _Failed(f"{error} ({attempt + 1} attempts)") from None
                pause = self._patience.pause(attempt, error.wait)
                if loop.time() + pause >= due:
                    raise _Failed(
                        f"{error}; the wait of {pause:.1f} s before asking again is too long"
                    ) from None
                await asyncio.sleep(pause)
                attempt += 1

    async def _attempt(self, client: httpx.AsyncClient, ask: Ask[Any]) -> Any:
        method = "GET" if ask.payload is None else "POST"
        try:
            async with client.stream(method, f"{self.url}{ask.path}", json=ask.payload) as response:
                body = await bounded(response)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            cause = _cause(error)
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise self._error(
                    ask,
                    f"its certificate cannot be verified ({cause.verify_message}): if an authority"
                    f" of your own signed it, let {AUTHORITIES} name that one's certificate",
                ) from None
            raise _Failed(f"no connection: {_said(error)}") from None
        except httpx.ReadTimeout:
            raise _Failed(
                f"it connected, and then said nothing for {self._patience.read:g} seconds",
                again=False,
            ) from None
        except httpx.TransportError as error:
            raise _Failed(f"the connection broke: {_said(error)}") from None
        except httpx.RequestError as error:
            raise self._error(ask, _said(error)) from None
        if body is None:
            raise self._error(ask, f"the reply is longer than {MOST_BYTES >> 20} MiB")
        return self._json(ask, response, body)

    def _json(self, ask: Ask[Any], response: httpx.Response, body: bytes) -> Any:
        status = response.status_code
        if response.is_redirect:
            host = _host(response.headers.get("Location", ""))
            raise self._error(
                ask, f"it redirects to {host}, which is not followed: give that URL if you trust it"
            )
        if status in ask.accepts:
            return None
        if status in _AGAIN:
            wait = retry_after(response.headers.get("Retry-After"))
            raise _Failed(f"HTTP {status}: {one_line(body)}", wait)
        if status != httpx.codes.OK:
            raise self._error(ask, f"HTTP {status}: {one_line(body)}{_HINTS.get(status, '')}")
        try:
            reply = json.loads(body)
        except (ValueError, RecursionError):
            raise _Failed(f"the reply is no JSON: {one_line(body)}") from None
        # some servers say so of every page that they do not have
        if isinstance(reply, dict) and reply.get("error") and not ask.accepts:
            raise self._error(ask, f"the server says an error: {one_line(body)}")
        return reply

    def _error(self, ask: Ask[Any], problem: str) -> ServerError:
        return ServerError(without_secrets(f"{self.url}{ask.path}: {problem}", self._key))


class _Runner:
    """An event loop in a thread, and the client whose connections belong to it."""

    def __init__(self, make_client: Callable[[], httpx.AsyncClient]) -> None:
        self.client = make_client()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_run, args=(self.loop,), name="ct-guard-server", daemon=True
        )
        self._thread.start()
        self.stop = weakref.finalize(self, _stop, self.loop, self.client, self._thread)

    def submit(self, work: Coroutine[Any, Any, Result]) -> "Future[Result]":
        return asyncio.run_coroutine_threadsafe(work, self.loop)


_of_parents: list[_Runner | None] = []


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


def _stop(
    loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient, thread: threading.Thread
) -> None:
    async def end() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await client.aclose()

    if threading.current_thread() is thread:  # the collector came by here
        loop.stop()
        return
    if not thread.is_alive():
        return
    asyncio.run_coroutine_threadsafe(end(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def _host(location: str) -> str:
    """Whereto a redirect leads; without credentials."""
    try:
        host = urlsplit(location).hostname
    except ValueError:
        host = None
    return one_line((host or "elsewhere").encode("utf-8", "replace"))


def _cause(error: BaseException) -> BaseException:
    """What an error came from in the end."""
    while (under := error.__cause__ or error.__context__) is not None:
        error = under
    return error


def _said(error: Exception) -> str:
    return one_line(str(error).encode("utf-8", "replace")) or type(error).__name__
