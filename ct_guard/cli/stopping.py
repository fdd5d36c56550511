"""Ctrl-C and SIGTERM: what was begun is put in order, and the process ends with 130 or 143."""

import os
import signal
import sys
import threading
from time import monotonic
from types import FrameType
from typing import NoReturn

__all__ = ["Stop", "check", "leave", "listen"]

PATIENCE_SECONDS = 1.0
"""A signal again after this ends the process where it stands; sooner, it is the same one, sent to
the process and to its group."""


class Stop(KeyboardInterrupt):
    """A signal asked for the end. Whatever resumes says so to the user and raises it on."""


_received: list[tuple[int, float]] = []


def listen() -> None:
    """From now on both signals raise `Stop` in the main thread. One that is ignored, as in jobs in
    the background, stays so."""
    _received.clear()
    if threading.current_thread() is not threading.main_thread():
        return  # nobody else is told of signals
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def check() -> None:
    """Raises `Stop` where a signal came at a moment that swallows exceptions, as a call-back of a
    library does: to be called between two pieces of work."""
    if _received:
        raise Stop


def leave() -> NoReturn:
    """Ends the process with the exit code of the signal. Threads that may still compute in native
    code are not waited for: the interpreter cannot end beside them without an abort."""
    number = _received[0][0] if _received else signal.SIGINT
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads any more
            continue
    os._exit(128 + number)


def _stop(number: int, frame: FrameType | None) -> None:
    if _received:
        if monotonic() - _received[0][1] > PATIENCE_SECONDS:
            leave()
        return
    _received.append((number, monotonic()))
    raise Stop
