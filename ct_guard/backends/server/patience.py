"""How long a server is waited for, how often it is asked again, and when it is left alone."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from ct_guard.errors import ServerError, UsageError

__all__ = ["Breaker", "Patience"]


@dataclass(frozen=True)
class Patience:
    """All in seconds. Raises UsageError for values out of range."""

    total: float = 60.0
    """From asking to the reply's last byte, attempts and waits between them included."""
    connect: float = 5.0
    """For a connection; `read` and `write` are for one piece of a reply or request."""
    read: float = 60.0
    write: float = 10.0
    retries: int = 3
    """More attempts after a failure that says nothing of the request itself."""
    first_wait: float = 0.2
    """About, before the second attempt; it doubles."""

    def __post_init__(self) -> None:
        for name in ("total", "connect", "read", "write", "first_wait"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"{name} {getattr(self, name)!r} seconds: give more than 0")
        if self.retries < 0:
            raise UsageError(f"retries {self.retries}: give 0 or more")

    @classmethod
    def of(cls, total: float) -> "Patience":
        """Of a request that may take so long, in whichever phase."""
        return cls(total=total, read=total, connect=min(5.0, total))

    @property
    def phases(self) -> httpx.Timeout:
        return httpx.Timeout(connect=self.connect, read=self.read, write=self.write, pool=None)

    def pause(self, attempt: int, asked: float) -> float:
        """Before the next attempt: what the server asked for, or doubling waits, with a random
        share so that requests do not all come back at once."""
        own = self.first_wait * 2.0**attempt
        return max(asked, own) * random.uniform(1.0, 1.5)  # noqa: S311


class Breaker:
    """After `most` requests in a row that failed for good, none is sent for `rest` seconds; then
    one is, and its end decides. By `clock`."""

    def __init__(
        self, most: int = 8, rest: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._rest, self._clock = most, rest, clock
        self._failures = 0
        self._closed_until = 0.0

    def check(self) -> None:
        """Raise ServerError while the server is left alone."""
        left = self._closed_until - self._clock()
        if self._failures < self._most:
            return
        if left > 0:
            raise ServerError(
                f"the server failed {self._failures} times in a row and is left alone for"
                f" {left:.1f} s more: see whether it runs"
            )
        self._closed_until = self._clock() + self._rest

    def worked(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= self._most:
            self._closed_until = self._clock() + self._rest
