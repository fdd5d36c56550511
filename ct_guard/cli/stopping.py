"""Ctrl-C and SIGTERM: what was begun is put in order, and the process ends with 130 or 143."""

import os
import signal
import sys
import threading
from time import monotonic
from types import FrameType
from typing import NoReturn

__all__ = ["check", "leave", "listen"]

PATIENCE_SECONDS = 1.0
"""SIGTERM again after this ends the process where it stands; sooner, it is the same one, sent to
the process and to its group."""

_terminated: list[float] = []
"""When SIGTERM came, if it did."""


def listen() -> None:
    """From now on SIGTERM is a Ctrl-C with another exit code: a KeyboardInterrupt in the main
    thread, or what a running event loop makes of one. A Ctrl-C that is ignored, as in jobs in the
    background, stays so."""
    _terminated.clear()
    if threading.current_thread() is not threading.main_thread():
        return  # nobody else is told of signals
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)


def check() -> None:
    """Raises KeyboardInterrupt where SIGTERM came at a moment that swallows exceptions, as a
    call-back of a library does: to be called between two pieces of work."""
    if _terminated:
        raise KeyboardInterrupt


def leave() -> NoReturn:
    """Ends the process with the exit code of the signal. Threads that may still compute in native
    code are not waited for: the interpreter cannot end beside them without an abort."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads any more
            continue
    os._exit(128 + (signal.SIGTERM if _terminated else signal.SIGINT))


def _terminate(number: int, frame: FrameType | None) -> None:
    if _terminated:
        if monotonic() - _terminated[0] > PATIENCE_SECONDS:
            leave()
        return
    _terminated.append(monotonic())
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)
