"""Locks over a fork: no child begins in the middle of what somebody was doing."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from ct_guard import forks
from ct_guard.errors import BackendError
from ct_guard.forks import ForkLock
from ct_guard.policies.ledger import Ledger
from ct_guard_langchain.hearing import Listener

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    # Python 3.12 warns of every fork beside threads, which is what is tried here
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def status_in_child(work: Callable[[], int]) -> int:
    """What `work` returns in a forked process; 255 where it raises, negative where it hangs."""
    child = os.fork()
    if child == 0:
        status = 255
        signal.alarm(60)
        try:
            status = work()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def holding(lock: ForkLock, release: threading.Event) -> threading.Thread:
    """A thread that holds the lock until it is told to let go."""
    taken = threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(10)
    return thread


def test_a_child_finds_the_lock_free_and_what_it_protects_whole() -> None:
    lock, release = ForkLock(), threading.Event()
    state = {"whole": False}
    thread = holding(lock, release)

    def finish() -> None:
        with lock:
            state["whole"] = True

    finishing = threading.Thread(target=finish)
    threading.Timer(0.05, release.set).start()
    finishing.start()

    def free() -> int:
        return 0 if lock.acquire(timeout=0) else 1

    assert status_in_child(free) == 0
    thread.join(10)
    finishing.join(10)
    assert state["whole"]
    assert free() == 0


def test_a_fork_waits_for_the_newer_lock_first() -> None:
    """Who holds a newer lock may be waiting for an older one, which a fork that began with the
    older would never leave."""
    older = ForkLock()
    newer = ForkLock()
    taken, goes_on = threading.Event(), threading.Event()

    def nested() -> None:
        with newer:
            taken.set()
            goes_on.wait(10)
            with older:
                pass

    thread = threading.Thread(target=nested)
    thread.start()
    taken.wait(10)
    threading.Timer(0.05, goes_on.set).start()

    def both_free() -> int:
        with newer, older:
            return 0

    assert status_in_child(both_free) == 0
    thread.join(10)


def test_the_forking_thread_may_hold_the_lock_itself() -> None:
    lock = ForkLock()

    def leave() -> int:
        lock.release()
        return 0 if lock.acquire(timeout=0) else 1

    with lock:
        assert status_in_child(leave) == 0


def test_a_child_renews_once_and_the_parent_never() -> None:
    calls: list[int] = []
    lock = ForkLock(lambda: calls.append(1))

    def taken_twice() -> int:
        for _ in range(2):
            with lock:
                pass
        return len(calls)

    assert status_in_child(taken_twice) == 1
    assert taken_twice() == 0


def test_what_cannot_be_renewed_says_so_to_everyone_who_asks() -> None:
    def renew() -> None:
        raise BackendError("load it after the fork")

    lock = ForkLock(renew)

    def refused() -> int:
        told = 0
        for _ in range(2):
            try:
                lock.acquire()
            except BackendError:
                told += 1
        return told

    assert status_in_child(refused) == 2


def test_a_lock_that_is_not_let_go_is_an_error_in_the_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forks, "PATIENCE", 0.01)
    lock, release = ForkLock(), threading.Event()
    thread = holding(lock, release)

    def refused() -> int:
        try:
            lock.acquire()
        except BackendError as error:
            return 0 if "load the estimator after the fork" in str(error) else 1
        return 2

    assert status_in_child(refused) == 0
    release.set()
    thread.join(10)
    with lock:
        pass


@pytest.mark.parametrize(
    ("make", "use", "lock"),
    [
        (lambda: Ledger(8), lambda ledger: ledger.spend(1.0, most=2, limit=5.0), "_lock"),
        (Listener, lambda listener: listener._forget(uuid4()) is None, "_lock"),
    ],
    ids=["ledger", "listener"],
)
def test_what_threads_share_is_usable_in_a_child(
    make: Callable[[], Any], use: Callable[[Any], bool], lock: str
) -> None:
    shared, release = make(), threading.Event()
    thread = holding(getattr(shared, lock), release)
    threading.Timer(0.05, release.set).start()
    assert status_in_child(lambda: int(not use(shared))) == 0
    thread.join(10)
    assert use(shared)
