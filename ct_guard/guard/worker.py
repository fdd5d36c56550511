"""One thread that owns the estimator: joins requests that arrive together into one forward."""

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from ct_guard.errors import BackendError, CtGuardError, DeadlineError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.forks import ForkLock
from ct_guard.records import Confidence, QuestionAnswer

from .lifetime import interrupt, watch
from .queue import Batch, Call, Job, Queue, Request, Terms, weigh

__all__ = ["Worker", "worker_of"]

_CHARACTERS = 4
"""Of a token, about."""
_LEFT = UsageError("the process ends: nothing is scored any more")


class Worker:
    """Runs `score` on a thread of its own.

    What arrives while the thread is busy is scored together next, as far as the requests' `Terms`
    and deadlines allow. A batch also waits for company: at most the first request's window in all,
    and no longer than 1/16 of it after the last arrival, so that a lone caller hardly waits. A
    thread without work for `idle` seconds ends; the next request starts another.

    `longest` is the most characters of an answer that are read. Deadlines are by `clock`.
    """

    def __init__(
        self,
        score: Callable[[Sequence[QuestionAnswer]], list[Confidence]],
        *,
        longest: int = 100_000,
        idle: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        of: object = None,
    ) -> None:
        self.of = of
        """What `score` belongs to, kept alive."""
        self._score, self._longest, self._idle, self._clock = score, longest, idle, clock
        self._closed = self._left = False
        self._begin()
        watch(self)  # before anything takes its lock, which a fork would else leave taken

    def _begin(self) -> None:
        """Nothing waits, and no thread runs."""
        self._waiting = Queue()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._running: Batch | Call | None = None
        self._busy_until = 0.0

    @property
    def closed(self) -> bool:
        return self._closed

    def submit(
        self,
        items: Sequence[QuestionAnswer],
        *,
        due: float | None = None,
        terms: Terms | None = None,
    ) -> "Future[list[Confidence]]":
        """Score items, perhaps together with those of other callers; whoever cancels what waits
        takes it out of the queue.

        The future may hold OverloadedError where too much waits, and DeadlineError where it cannot
        be scored by `due`, without having waited until then. Raises UsageError when closed.
        """
        weight = weigh(items, self._longest)
        return self._enqueue(Request(items, weight, terms or Terms(), due))

    def call(
        self,
        function: Callable[[], Any],
        *,
        due: float | None = None,
        most: int | None = None,
    ) -> "Future[Any]":
        """Run a function alone on the thread: what touches the model must not run beside it. The
        future holds OverloadedError where more than `most` answers wait."""
        return self._enqueue(Call(function, due, most))

    @property
    def waiting(self) -> int:
        """Answers and calls that wait."""
        with self._wake:
            return self._waiting.rows

    def close(self, timeout: float | None = None) -> None:
        """Finish what is waiting and stop. Later submissions raise UsageError.

        Raises DeadlineError where that takes longer than `timeout` seconds: what waits is given up
        then, and what runs goes on; UsageError on the worker's own thread.
        """
        with self._wake:
            self._refuse_own_thread()
            self._closed = True
            self._wake.notify()
            thread = self._thread
        if thread is None:
            return
        thread.join(timeout)
        if thread.is_alive():
            given_up = self._give_up(UsageError("this guard was closed before scoring began"))
            raise DeadlineError(
                f"{self._what_runs()} still runs {timeout:g} s after closing ({given_up} requests"
                " behind it are given up): close again later, to free the model"
            )

    def _what_runs(self) -> str:
        running = self._running
        return f"scoring {running.rows} answers" if isinstance(running, Batch) else "a call"

    def _give_up(self, error: CtGuardError) -> int:
        with self._wake:
            jobs = self._waiting.clear()
        for job in jobs:
            _fail(job, error)
        return len(jobs)

    # --- arriving -------------------------------------------------------------------------------

    def _enqueue(self, job: Job) -> "Future[Any]":
        future: Future[Any] = job.future
        with self._wake:
            if self._closed:
                raise UsageError("this guard is closed")
            self._refuse_own_thread()
            busy_until = self._busy_until if self._running is not None else None
            try:
                self._waiting.add(job, now=self._clock(), busy_until=busy_until)
                self._start()
            except CtGuardError as error:
                self._waiting.remove(job)
                future.set_exception(error)
                return future
            self._wake.notify()
        future.add_done_callback(partial(self._forget, job))
        return future

    def _start(self) -> None:
        """Raises BackendError where the system has no thread left."""
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._run, name="ct-guard", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise BackendError(f"there is no thread to score on: {error}") from error
        self._thread = thread

    def _refuse_own_thread(self) -> None:
        """What this thread waits for would wait for this thread."""
        if threading.current_thread() is self._thread:
            raise UsageError(
                "this is the thread that owns the estimator, which would wait for itself: use the"
                " guard, or close it, on another one"
            )

    def _forget(self, job: Job, future: "Future[Any]") -> None:
        if future.cancelled():
            with self._wake:
                self._waiting.remove(job)

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._wake:
                self._running = None
                self._wake.wait_for(lambda: self._waiting or self._closed, self._idle)
                late = self._waiting.shed(self._clock())
                if self._waiting:
                    self._running = self._next()
                elif not late:
                    self._thread = None
                    return
            for job, error in late:
                _fail(job, error)
            if isinstance(self._running, Batch):
                self._serve(self._running)
            elif self._running is not None and self._running.future.set_running_or_notify_cancel():
                _settle(self._running.future, self._running.function)

    def _next(self) -> Batch | Call:
        """The first job; a request with what arrives within its window, as long as that fits."""
        first = self._waiting.pop()
        if isinstance(first, Call):
            return first
        self._running = batch = Batch(first)
        until = time.monotonic() + first.terms.window
        while batch.rows < batch.most and not self._closed:
            if not self._waiting:
                left = until - time.monotonic()
                if left <= 0 or not self._wake.wait(min(left, first.terms.window / 16)):
                    break
            elif not self._waiting.pop_into(batch, self._clock()):
                break
        self._busy_until = self._clock() + self._waiting.pace.seconds(batch.weight)
        return batch

    def _serve(self, batch: Batch) -> None:
        live = [each for each in batch.requests if each.future.set_running_or_notify_cancel()]
        if len(live) > 1 and self._serve_together(live):
            return
        for request in live:
            if self._left:
                request.future.set_exception(_LEFT)
            elif len(live) > 1 and request.due is not None and request.due <= self._clock():
                request.future.set_exception(DeadlineError("the deadline passed while scoring"))
            else:
                _settle(request.future, partial(self._scores, [request]))

    def _serve_together(self, requests: Sequence[Request]) -> bool:
        """False where something was raised: one request may have spoilt it for all, so that each
        has to get its own result or its own error."""
        try:
            scored = self._scores(requests)
        except BaseException:
            return False
        at = 0
        for request in requests:
            request.future.set_result(scored[at : at + len(request.items)])
            at += len(request.items)
        return True

    def _scores(self, requests: Sequence[Request]) -> list[Confidence]:
        """Exactly one score for each item: of fewer or more, nobody knows which is whose."""
        items = [item for request in requests for item in request.items]
        start = self._clock()
        scored = self._score(items)
        if len(scored) != len(items):
            raise BackendError(
                f"the estimator returned {len(scored)} scores for {len(items)} answers"
            )
        self._waiting.pace.took(sum(each.weight for each in requests), self._clock() - start)
        return scored

    # --- the process ----------------------------------------------------------------------------

    def forked(self) -> None:
        """In a child process, where no thread but the forking one lives: begin afresh. What waited
        is the parent's."""
        self._begin()

    def leave(self, patience: float) -> None:
        """The interpreter ends: give up what waits, and end what runs."""
        with self._wake:
            self._closed = self._left = True
            self._waiting.clear()
            self._wake.notify()
            thread = self._thread
        if thread is not None:
            interrupt(thread, patience)


_workers: "weakref.WeakValueDictionary[int, Worker]" = weakref.WeakValueDictionary()
_workers_lock = ForkLock()


def worker_of(estimator: Estimator) -> Worker:
    """The worker of this estimator: all guards over it share one thread, so that their requests
    join. It lives as long as one of them, and keeps the estimator alive meanwhile."""
    with _workers_lock:
        worker = _workers.get(id(estimator))
        if worker is None or worker.closed:
            longest = _CHARACTERS * estimator.budget
            worker = Worker(estimator.score, longest=longest, of=estimator)
            _workers[id(estimator)] = worker
        return worker


def _fail(job: Job, error: CtGuardError) -> None:
    if job.future.set_running_or_notify_cancel():
        job.future.set_exception(error)


def _settle(future: "Future[Any]", work: Callable[[], Any]) -> None:
    try:
        result = work()
    except StopIteration as error:  # which no asyncio future can carry
        future.set_exception(RuntimeError(f"scoring raised {error!r}"))
    except BaseException as error:  # on this thread nobody else would hear of it
        future.set_exception(error)
    else:
        future.set_result(result)
