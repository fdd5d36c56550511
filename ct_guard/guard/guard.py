"""The guard: an estimator and a policy behind one call."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from ct_guard.backends import KV
from ct_guard.errors import CtGuardError, DeadlineError, UsageError
from ct_guard.estimators import Estimator, load_estimator
from ct_guard.policies import (
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
from ct_guard.records import Assessment, Confidence, Decision, QuestionAnswer

from .worker import worker_of

__all__ = ["Guard"]

T = TypeVar("T")


class Guard:
    """Assess answers: how likely is each to be correct, and what should be done with it?

    `estimator` and `policy` are given by name, path or object; without a policy, the estimator's
    certified threshold is used where it has one, else every answer passes with its confidence
    attached. `deadline` bounds every call in seconds; what is late is an error of that answer, and
    goes by `on_error` like any other ("pass", "block" = abstain, "raise").

        guard = Guard("mini")
        guard.assess(QuestionAnswer(question="What is 2 plus 2?", answer="5")).action

    Safe to share between threads and event loops. Requests that arrive within `window` seconds (at
    most 0.005 is sensible) are scored in one forward, also those of other guards over the same
    estimator and window: they share its thread.
    """

    def __init__(
        self,
        estimator: str | Path | Estimator,
        policy: str | float | Path | dict[str, Any] | Policy | None = None,
        *,
        on_error: OnError = "block",
        deadline: float | None = None,
        window: float = 0.002,
    ) -> None:
        if on_error not in get_args(OnError):
            known = ", ".join(get_args(OnError))
            raise UsageError(f"unknown on_error {on_error!r}: there are {known}")
        if not window >= 0:
            raise UsageError(f"a window is a time in seconds, not {window!r}")
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
        self.on_error: OnError = on_error
        self.deadline = deadline
        self._worker = worker_of(self.estimator, window=window)

    def assess(self, qa: QuestionAnswer, *, situation: Situation | None = None) -> Assessment:
        """Assess one answer."""
        return self.assess_batch([qa], situation=situation)[0]

    def assess_batch(
        self, items: Sequence[QuestionAnswer], *, situation: Situation | None = None
    ) -> list[Assessment]:
        """Assess many answers in one forward after another; results in order."""
        return self._decided(self.score_batch(items), situation)

    def score_batch(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        """The confidences of many answers, nothing decided on them; results in order."""
        return self._wait(self._worker.submit(items), items) if items else []

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
        return self._decided(await self.ascore_batch(items), situation)

    async def ascore_batch(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        """`score_batch` without blocking the event loop."""
        return await self._await(self._worker.submit(items), items) if items else []

    def assess_generated(
        self, qa: QuestionAnswer, kv: KV, *, situation: Situation | None = None
    ) -> Assessment:
        """Assess an answer that the estimator's own base has just generated, from its live KV."""
        future = self._worker.call(lambda: [self.estimator.score_generated(qa, kv)])
        return self._decided(self._wait(future, [qa]), situation)[0]

    async def aassess_generated(
        self, qa: QuestionAnswer, kv: KV, *, situation: Situation | None = None
    ) -> Assessment:
        """`assess_generated` without blocking the event loop."""
        future = self._worker.call(lambda: [self.estimator.score_generated(qa, kv)])
        return self._decided(await self._await(future, [qa]), situation)[0]

    def decide(self, confidence: Confidence, situation: Situation | None = None) -> Decision:
        """The policy's decision on a confidence that is known already."""
        situation = replace(situation or Situation(), ledger=self._ledger)
        return decide(self.policy, confidence, on_error=self.on_error, situation=situation)

    def run(self, function: Callable[[], T]) -> T:
        """Run a function on the thread that owns the estimator, and return what it returns."""
        result: T = self._worker.call(function).result()
        return result

    def close(self) -> None:
        """Stop the worker and free the model, also for other guards over the same estimator."""
        self._worker.close()
        self.estimator.close()

    def _wait(
        self, future: "Future[list[Confidence]]", items: Sequence[QuestionAnswer]
    ) -> list[Confidence]:
        try:
            return future.result(self.deadline)
        except Exception as error:
            raised = future.done() and not future.cancelled() and future.exception() is error
            future.cancel()  # what nobody waits for any more need not be scored
            return self._failed(items, error if raised else self._late())

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
        blank = Confidence(
            p=None,
            status="error",
            estimator=self.estimator.name,
            backend=self.estimator.backend.name,
            error=str(error) if isinstance(error, CtGuardError) else _first_line(repr(error)),
        )
        return [blank] * len(items)

    def _late(self) -> DeadlineError:
        return DeadlineError(f"scoring took longer than the deadline of {self.deadline} s")

    def _decided(
        self, scored: Sequence[Confidence], situation: Situation | None
    ) -> list[Assessment]:
        return [Assessment(confidence=c, decision=self.decide(c, situation)) for c in scored]


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0]
