"""The guard: an estimator and a policy behind one call."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from ct_guard.backends import KV
from ct_guard.errors import CtGuardError, DeadlineError, UsageError
from ct_guard.estimators import Estimator, load_estimator
from ct_guard.monitoring import Monitor
from ct_guard.policies import (
    Annotate,
    Escalate,
    OnError,
    Policy,
    Situation,
    decide,
    default_policy,
    ledger_for,
    load_policy,
    parts,
)
from ct_guard.records import Assessment, Certificate, Confidence, Decision, QuestionAnswer

from .queue import Terms
from .validity import Validity
from .worker import worker_of

__all__ = ["Guard"]

T = TypeVar("T")


class Guard:
    """Assess answers: how likely is each to be correct, and what should be done with it?

    `estimator` and `policy` are given by name, path or object; without a policy, the estimator's
    certified threshold is used where it has one, else every answer passes with its confidence
    attached. `on_error` says what becomes of an answer that could not be scored: "pass", "block"
    (abstain) or "raise". None: "block", but "pass" under `annotate`, which keeps no answer back.
    `deadline` bounds every call in seconds; what is late is such an answer. So is what finds more
    than `max_waiting` answers waiting (OverloadedError), and what could not be scored by its
    deadline for all that waits before it (DeadlineError, at once).

        guard = Guard("mini")
        guard.assess(QuestionAnswer(question="What is 2 plus 2?", answer="5")).action

    Safe to share between threads and event loops. Requests that arrive within `window` seconds (at
    most 0.005 is sensible) are scored in one forward of at most `max_batch` answers, also those of
    other guards over the same estimator: they share its thread. `max_batch` None joins requests
    where the backend gains from it (`Capabilities.batching_gains`). A batch is never so large that
    it could not end by the deadlines of its members.

    A process that was forked goes on with the guard on one CPU thread; for more, or with a model on
    a GPU, it loads an estimator of its own.
    """

    def __init__(
        self,
        estimator: str | Path | Estimator,
        policy: str | float | Path | dict[str, Any] | Policy | None = None,
        *,
        on_error: OnError | None = None,
        deadline: float | None = None,
        window: float = Terms.window,
        max_batch: int | None = None,
        max_waiting: int = Terms.max_waiting,
        monitor: Monitor | None = None,
    ) -> None:
        if on_error is not None and on_error not in get_args(OnError):
            known = ", ".join(get_args(OnError))
            raise UsageError(f"unknown on_error {on_error!r}: there are {known}")
        if not window >= 0:
            raise UsageError(f"a window is a time in seconds, not {window!r}")
        if deadline is not None and not deadline > 0:
            raise UsageError(f"a deadline is a time in seconds above 0, not {deadline!r}")
        for name, number in (("max_batch", max_batch), ("max_waiting", max_waiting)):
            if number is not None and not number >= 1:
                raise UsageError(f"{name} is a number of answers, at least 1, not {number!r}")
        self.estimator = load_estimator(estimator)
        certificates = self.estimator.manifest.certificates
        self.policy: Policy = (
            default_policy(certificates) if policy is None else load_policy(policy, certificates)
        )
        self._ledger = ledger_for(self.policy)
        self.keeps_last = any(
            isinstance(part, Escalate) and part.keep == "last" for part in parts(self.policy)
        )
        """Whether the last model's answer counts, instead of the one with the best p."""
        self.on_error_given = on_error
        """For a guard that is to differ in its policy: None goes by that one's."""
        passes = isinstance(self.policy, Annotate)
        self.on_error: OnError = on_error or ("pass" if passes else "block")
        self.deadline = deadline
        self.window, self.max_batch, self.max_waiting = window, max_batch, max_waiting
        most = max_batch or (Terms.max_batch if self.estimator.batching_gains else 1)
        if self.estimator.reads_together:
            most = 1  # a stranger's answer to the same question is no evidence
        self._terms = Terms(window, most, max_waiting)
        self._worker = worker_of(self.estimator)
        if monitor is not None:
            monitor.check_of(self.estimator.manifest)
        self.monitor = monitor
        """Who else sees the confidences; it may be given later, too."""
        self._validity = Validity(self.estimator.folder)

    def under(self, policy: Policy) -> "Guard":
        """A guard that differs in its policy only."""
        return Guard(
            self.estimator,
            policy,
            on_error=self.on_error_given,
            deadline=self.deadline,
            window=self.window,
            max_batch=self.max_batch,
            max_waiting=self.max_waiting,
            monitor=self.monitor,
        )

    def assess(self, qa: QuestionAnswer, *, situation: Situation | None = None) -> Assessment:
        """Assess one answer."""
        return self.assess_batch([qa], situation=situation)[0]

    def assess_batch(
        self, items: Sequence[QuestionAnswer], *, situation: Situation | None = None
    ) -> list[Assessment]:
        """Assess many answers in one forward after another; results in order."""
        return self._decided(self.score(items), situation)

    def score(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        """The confidences of many answers, nothing decided on them; results in order."""
        return self._seen(items, self._wait(self._submit(items), items)) if items else []

    async def aassess(
        self, qa: QuestionAnswer, *, situation: Situation | None = None
    ) -> Assessment:
        """`assess` without blocking the event loop. A cancelled call is not scored, unless the
        worker is at it already."""
        return (await self.aassess_batch([qa], situation=situation))[0]

    async def aassess_batch(
        self, items: Sequence[QuestionAnswer], *, situation: Situation | None = None
    ) -> list[Assessment]:
        """`assess_batch` without blocking the event loop."""
        return self._decided(await self.ascore(items), situation)

    async def ascore(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        """`score` without blocking the event loop."""
        return self._seen(items, await self._await(self._submit(items), items)) if items else []

    def assess_generated(
        self, qa: QuestionAnswer, kv: KV, *, situation: Situation | None = None
    ) -> Assessment:
        """Assess an answer that the estimator's own base has just generated, from its live KV."""
        scored = self._wait(self._submit_generated(qa, kv), [qa])
        return self._decided(self._seen([qa], scored), situation)[0]

    async def aassess_generated(
        self, qa: QuestionAnswer, kv: KV, *, situation: Situation | None = None
    ) -> Assessment:
        """`assess_generated` without blocking the event loop."""
        scored = await self._await(self._submit_generated(qa, kv), [qa])
        return self._decided(self._seen([qa], scored), situation)[0]

    def decide(self, confidence: Confidence, situation: Situation | None = None) -> Decision:
        """The policy's decision on a confidence that is known already."""
        situation = replace(situation or Situation(), ledger=self._ledger, why_void=self._why_void)
        return decide(self.policy, confidence, on_error=self.on_error, situation=situation)

    def run(self, function: Callable[[], T]) -> T:
        """Run a function on the thread that owns the estimator, and return what it returns."""
        result: T = self._worker.call(function).result()
        return result

    def close(self, timeout: float | None = 4.0) -> None:
        """Finish what waits, stop the worker and free the model, also for other guards over the
        same estimator.

        Raises DeadlineError where that takes longer than `timeout` seconds (None: as long as it
        takes): it says what is still running. The model is then not freed, until closed again.
        """
        self._worker.close(timeout)
        self.estimator.close()

    def _seen(self, items: Sequence[QuestionAnswer], scored: list[Confidence]) -> list[Confidence]:
        if self.monitor is not None:
            self.monitor.see(items, scored, self.estimator.arithmetic)
        return scored

    def _why_void(self, certificate: Certificate) -> str:
        known = "" if self.monitor is None else self.monitor.why_void(certificate)
        return known or self._validity.why_void(certificate)

    def _submit(self, items: Sequence[QuestionAnswer]) -> "Future[list[Confidence]]":
        return self._worker.submit(items, due=self._due(), terms=self._terms)

    def _submit_generated(self, qa: QuestionAnswer, kv: KV) -> "Future[list[Confidence]]":
        return self._worker.call(lambda: [self.estimator.score_generated(qa, kv)], due=self._due())

    def _due(self) -> float | None:
        return None if self.deadline is None else time.monotonic() + self.deadline

    def _wait(
        self, future: "Future[list[Confidence]]", items: Sequence[QuestionAnswer]
    ) -> list[Confidence]:
        try:
            return future.result(self.deadline)
        except Exception as error:
            raised = future.done() and not future.cancelled() and future.exception() is error
            return self._failed(items, error if raised else self._late())
        finally:
            future.cancel()  # what nobody waits for any more need not be scored

    async def _await(
        self, future: "Future[list[Confidence]]", items: Sequence[QuestionAnswer]
    ) -> list[Confidence]:
        waited = asyncio.wrap_future(future)
        try:
            return await asyncio.wait_for(waited, self.deadline)
        except Exception as error:
            return self._failed(items, self._late() if waited.cancelled() else error)

    def _failed(self, items: Sequence[QuestionAnswer], error: Exception) -> list[Confidence]:
        """Whatever went wrong in the estimator is an error of these answers, not of the caller."""
        if self.on_error == "raise":
            raise error
        said = str(error) if isinstance(error, CtGuardError) else _first_line(repr(error))
        return [self.estimator.unscored("error", said)] * len(items)

    def _late(self) -> DeadlineError:
        return DeadlineError(f"scoring took longer than the deadline of {self.deadline} s")

    def _decided(
        self, scored: Sequence[Confidence], situation: Situation | None
    ) -> list[Assessment]:
        return [Assessment(confidence=c, decision=self.decide(c, situation)) for c in scored]


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0]
