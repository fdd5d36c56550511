"""One thread that owns the estimator: joins requests that arrive together into one forward."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ct_guard.errors import UsageError
from ct_guard.records import Confidence, QuestionAnswer

__all__ = ["Worker"]


@dataclass
class _Request:
    items: Sequence[QuestionAnswer]
    future: "Future[list[Confidence]]" = field(default_factory=Future)


@dataclass
class _Call:
    function: Callable[[], Any]
    future: "Future[Any]" = field(default_factory=Future)


class Worker:
    """Runs `score` on a thread of its own. A request waits at most `window` seconds for company;
    batches hold at most `most` items unless one request alone is larger."""

    def __init__(
        self,
        score: Callable[[Sequence[QuestionAnswer]], list[Confidence]],
        *,
        window: float = 0.002,
        most: int = 256,
    ) -> None:
        self._score, self._window, self._most = score, window, most
        self._waiting: deque[_Request | _Call] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

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
        if self._thread is not None:
            self._thread.join()

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
                while not self._waiting and not self._closed:
                    self._wake.wait()
                if not self._waiting:
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
                    if left <= 0 or not self._wake.wait(left):
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
            _settle(live[0].future, partial(self._score, live[0].items))
            return
        try:
            scored = self._score([item for request in live for item in request.items])
        except Exception:
            # One request may have spoilt it for all: each gets its own result or its own error.
            for request in live:
                _settle(request.future, partial(self._score, request.items))
            return
        at = 0
        for request in live:
            request.future.set_result(scored[at : at + len(request.items)])
            at += len(request.items)


def _settle(future: "Future[Any]", work: Callable[[], Any]) -> None:
    try:
        result = work()
    except Exception as error:
        future.set_exception(error)
    else:
        future.set_result(result)
