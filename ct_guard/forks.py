"""Locks that a fork waits for: no child process begins in the middle of a computation. And what
is shared in a process, and leaves it by a fork only."""

import itertools
import os
import threading
import weakref
from collections.abc import Callable
from functools import cache
from typing import NoReturn, Self

from .errors import BackendError

__all__ = ["ForkLock", "Shared"]

PATIENCE = 10.0
"""Seconds for which a fork waits for whoever holds a lock."""


class Shared:
    """What threads share: whoever copies it has the very same, and it cannot be pickled."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} cannot be pickled: make it in the process in which it is used"
        )


class ForkLock(Shared):
    """A re-entrant lock over what threads and forked processes share.

    A fork waits until nobody else holds it, so that the child finds it free and what it protects
    whole. `renew` is called once in a child, by the first who takes the lock there; what it raises,
    that one gets.

    Taking it raises BackendError in a child whose parent did not let go of it in time: what it
    protects is half changed there.
    """

    def __init__(self, renew: Callable[[], None] = lambda: None) -> None:
        self._lock = threading.RLock()
        self._renew = renew
        self._process = os.getpid()
        self._held = self._lost = False
        _watch()
        _locks[next(_numbers)] = self

    def __enter__(self) -> None:
        if self._lost or self._process != os.getpid():
            self.acquire()
        else:
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def acquire(self, timeout: float = -1) -> bool:
        """Wait for the lock, at most `timeout` seconds; a negative one means for ever."""
        if self._lost:
            raise BackendError(
                "this process was forked while its parent computed: load the estimator after the"
                " fork"
            )
        taken = self._lock.acquire(timeout=timeout)
        if taken and self._process != os.getpid():
            try:
                self._renew()
            except BaseException:
                self._lock.release()
                raise
            self._process = os.getpid()
        return taken

    def release(self) -> None:
        self._lock.release()

    def _before_fork(self) -> None:
        self._held = self._lock.acquire(timeout=PATIENCE)

    def _after_fork(self, *, child: bool) -> None:
        if self._held:
            self._held = False
            self._lock.release()
        elif child:
            self._lost = True


_numbers = itertools.count()
_locks: "weakref.WeakValueDictionary[int, ForkLock]" = weakref.WeakValueDictionary()


def _living() -> list[ForkLock]:
    """Latest first: who holds one of them may wait for an older one, never for a newer."""
    return [lock for _, lock in sorted(_locks.items(), reverse=True)]


@cache
def _watch() -> None:
    if not hasattr(os, "register_at_fork"):  # Windows does not fork
        return

    def before() -> None:
        for lock in _living():
            lock._before_fork()

    def after(*, child: bool) -> None:
        for lock in _living():
            lock._after_fork(child=child)

    os.register_at_fork(
        before=before,
        after_in_parent=lambda: after(child=False),
        after_in_child=lambda: after(child=True),
    )
