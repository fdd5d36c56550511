"""Threads that must not outlive the interpreter, nor be looked for in a forked child."""

import atexit
import ctypes
import os
import threading
import time
import weakref
from functools import cache
from typing import Protocol

__all__ = ["interrupt", "watch"]

_PATIENCE = 5.0
"""Seconds that the end of the process waits for a computation that does not end."""


class Owner(Protocol):
    """Has a thread."""

    def forked(self) -> None:
        """Called in a child process, in which that thread does not run."""
        ...

    def leave(self, patience: float) -> None:
        """Called when the interpreter is about to end: the thread is to end first."""
        ...


_owners: "weakref.WeakSet[Owner]" = weakref.WeakSet()


def watch(owner: Owner) -> None:
    """Tell `owner` when the process forks and when it ends: then, before what was registered until
    now to run at the end."""
    # A daemon thread that comes back from native code when the interpreter is gone is unwound
    # through C++, which aborts the process. Models are loaded before their owners are made, so that
    # this runs before what frees any of them at the end.
    atexit.unregister(_leave)
    atexit.register(_leave)
    _watch_forks()
    _owners.add(owner)


def interrupt(thread: threading.Thread, patience: float) -> None:
    """Raise SystemExit in a thread, as soon as it is back from native code, until it has ended or
    `patience` seconds are over."""
    until = time.monotonic() + patience
    raised = ctypes.py_object(SystemExit)
    thread.join(0.02)  # an idle one ends by itself
    while thread.is_alive() and time.monotonic() < until:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), raised)
        thread.join(0.1)


@cache
def _watch_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forked)


def _leave() -> None:
    for owner in list(_owners):
        owner.leave(_PATIENCE)


def _forked() -> None:
    for owner in list(_owners):
        owner.forked()
