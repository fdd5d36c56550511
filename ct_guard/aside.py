"""Work beside requests: it waits for a thread of its own, and delays nobody."""

import atexit
import logging
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

__all__ = ["PATIENCE", "Aside"]

T = TypeVar("T")

IDLE = 5.0
"""Seconds without work after which the thread ends."""
PATIENCE = 5.0
"""Seconds for which the end of the process waits for what was put before."""
AT_ONCE = 1000

_log = logging.getLogger("ct_guard.aside")


class Aside(Generic[T]):
    """Does `work` on what is put, at most 1,000 at once and in order, on a thread that begins with
    the first and ends where nothing comes.

    At most `max_waiting` wait; more are refused. What `work` raises is logged by its kind alone:
    its text may hold what belongs in no log. Usable after a fork, where nothing waits. The end of
    the process waits `PATIENCE` seconds for the rest. Safe to share between threads.
    """

    def __init__(
        self, work: Callable[[list[T]], None], *, name: str, max_waiting: int = 10_000
    ) -> None:
        self._work, self._name, self._max_waiting = work, name, max_waiting
        self._begin()
        _living.add(self)

    def _begin(self) -> None:
        """Nothing waits, and no thread runs; so it is in a child process, too."""
        self._waiting: deque[T] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = self._closed = self._awaited = False

    def put(self, items: Sequence[T]) -> bool:
        """Whether they wait now: all of them, or none. Never waits, never raises."""
        try:
            with self._wake:
                if self._closed or len(self._waiting) + len(items) > self._max_waiting:
                    return False
                if not self._awaited:  # only now, so that it ends before what it works with does
                    _at_the_end(_leave, weakref.ref(self))
                    self._awaited = True
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                    thread.start()
                    self._thread = thread
                self._waiting.extend(items)
                self._wake.notify_all()
                return True
        except RuntimeError:  # no thread can be started any more
            return False

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was put is done, at most `timeout` seconds; whether it is. The work
        itself, which would wait for its own end, is told at once that it is not."""
        with self._wake:
            if threading.current_thread() is self._thread:
                return False
            return self._wake.wait_for(lambda: not self._waiting and not self._busy, timeout)

    def close(self, timeout: float | None = PATIENCE) -> None:
        """Do what waits, and take no more."""
        self.flush(timeout)
        with self._wake:
            self._closed = True

    def _run(self) -> None:
        while True:
            with self._wake:
                self._busy = False
                self._wake.notify_all()
                if not self._wake.wait_for(lambda: self._waiting, IDLE):
                    self._thread = None
                    return
                self._busy = True
                taken = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            try:
                self._work(taken)
            except Exception as error:  # the thread lives on: what others gave it waits
                _log.warning("%s: work on %d failed: %s", self._name, len(taken), type(error))


_living: "weakref.WeakSet[Aside[Any]]" = weakref.WeakSet()


def _forked() -> None:
    for aside in list(_living):
        aside._begin()


def _at_the_end(function: Callable[..., object], *arguments: object) -> None:
    """Registers what the end of this process is to call. A child of `multiprocessing` ends by its
    own way, without `atexit`."""
    atexit.register(function, *arguments)
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, function, arguments, exitpriority=0)


def _leave(aside: "weakref.ref[Aside[Any]]") -> None:
    if (found := aside()) is not None:
        found.close()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_forked)
