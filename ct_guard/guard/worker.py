"""One thread that owns the estimator: joins requests that arrive together into one forward."""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ct_guard.errors import BackendError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.records import Confidence, QuestionAnswer

__all__ = ["Worker", "worker_of"]


@dataclass
class _Request:
    items: Sequence[QuestionAnswer]
    future: "Future[list[Confidence]]" = field(default_factory=Future)


@dataclass
class _Call:
    function: Callable[[], Any]
    future: "Future[Any]" = field(default_factory=Future)


class Worker:
    """Runs `score` on a thread of its own.

    What arrives while the thread is busy is scored together next. A batch also waits for company:
    at most `window` seconds in all, and no longer than 1/16 of it after the last arrival, so that a
    lone caller hardly waits. Batches hold at most `most` items unless one request alone is larger.
    A thread without work for `idle` seconds ends; the next request starts another.
    """

    def __init__(
        self,
        score: Callable[[Sequence[QuestionAnswer]], list[Confidence]],
        *,
        window: float = 0.002,
        most: int = 256,
        idle: float = 5.0,
    ) -> None:
        self._score, self._window, self._most, self._idle = score, window, most, idle
        self._waiting: deque[_Request | _Call] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    def submit(self, items: Sequence[QuestionAnswer]) -> "Future[list[Confidence]]":
        """Score items, perhaps together with those of other callers."""
        return self._enqueue(_Request(items))

    def call(self, function: Callable[[], Any]) -> "Future[Any]":
        """Run a function alone on the thread: what touches the model must not run beside it."""
        return self._enqueue(_Call(function))

    def close(self) -> None:
        """Finish what is waiting and stop. Later submissions raise UsageError."""
        with self._wake:
            self._closed = True
            self._wake.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _enqueue(self, job: Any) -> "Future[Any]":
        with self._wake:
            if self._closed:
                raise UsageError("this guard is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ct-guard", daemon=True)
                self._thread.start()
            self._waiting.append(job)
            self._wake.notify()
        future: Future[Any] = job.future
        return future

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._closed, self._idle)
                if not self._waiting:
                    self._thread = None
                    return
                first = self._waiting.popleft()
            if isinstance(first, _Call):
                if first.future.set_running_or_notify_cancel():
                    _settle(first.future, first.function)
            else:
                self._serve(self._gather(first))

    def _gather(self, first: _Request) -> list[_Request]:
        """`first` and what arrives within the window, as long as it fits into the batch."""
        batch, size = [first], len(first.items)
        until = time.monotonic() + self._window
        with self._wake:
            while size < self._most and not self._closed:
                if not self._waiting:
                    left = until - time.monotonic()
                    if left <= 0 or not self._wake.wait(min(left, self._window / 16)):
                        break
                    continue
                head = self._waiting[0]
                if isinstance(head, _Call) or size + len(head.items) > self._most:
                    break
                self._waiting.popleft()
                batch.append(head)
                size += len(head.items)
        return batch

    def _serve(self, batch: list[_Request]) -> None:
        live = [request for request in batch if request.future.set_running_or_notify_cancel()]
        if not live:
            return
        if len(live) == 1:
            _settle(live[0].future, partial(self._scores, live[0].items))
            return
        try:
            scored = self._scores([item for request in live for item in request.items])
        except Exception:
            # One request may have spoilt it for all: each gets its own result or its own error.
            for request in live:
                _settle(request.future, partial(self._scores, request.items))
            return
        at = 0
        for request in live:
            request.future.set_result(scored[at : at + len(request.items)])
            at += len(request.items)

    def _scores(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        """Exactly one score for each item: of fewer or more, nobody knows which is whose."""
        scored = self._score(items)
        if len(scored) != len(items):
            raise BackendError(
                f"the estimator returned {len(scored)} scores for {len(items)} answers"
            )
        return scored


_workers: "weakref.WeakValueDictionary[tuple[int, float], Worker]" = weakref.WeakValueDictionary()
_workers_lock = threading.Lock()


def worker_of(estimator: Estimator, *, window: float) -> Worker:
    """The worker of this estimator and window: all guards over them share one thread, so that their
    requests join. It lives as long as one of them, and keeps the estimator alive meanwhile."""
    key = id(estimator), window
    with _workers_lock:
        worker = _workers.get(key)
        if worker is None or worker.closed:
            worker = _workers[key] = Worker(estimator.score, window=window)
        return worker


def _settle(future: "Future[Any]", work: Callable[[], Any]) -> None:
    try:
        result = work()
    except StopIteration as error:  # which no asyncio future can carry
        future.set_exception(RuntimeError(f"scoring raised {error!r}"))
    except BaseException as error:  # on this thread nobody else would hear of it
        future.set_exception(error)
    else:
        future.set_result(result)
