"""The guard: an estimator and a policy behind one call."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from ct_guard.backends import KV
from ct_guard.errors import CtGuardError, DeadlineError, PolicyError, UsageError
from ct_guard.estimators import Estimator, load_estimator
from ct_guard.fields import may_have_fields
from ct_guard.forks import Shared
from ct_guard.monitoring import Monitor
from ct_guard.policies import (
    Annotate,
    Fields,
    OnError,
    Policy,
    Resample,
    Situation,
    decide,
    default_policy,
    draws,
    keeps_last,
    ledger_for,
    load_policy,
    parts,
    refuse_draws,
)
from ct_guard.promises import Voidable
from ct_guard.records import Assessment, Confidence, Decision, QuestionAnswer

from .cache import Known, ScoreCache
from .observing import Call, Judged, Observer, Observers
from .queue import Terms
from .validity import Validity
from .worker import worker_of

__all__ = ["Guard"]

T = TypeVar("T")


class Guard(Shared):
    """Assess answers: how likely is each to be correct, and what should be done with it?

    `estimator` and `policy` are given by name, path or object; without a policy, the estimator's
    certified threshold is used where it has one, else every answer passes with its confidence
    attached. `on_error` says what becomes of an answer that could not be scored: "pass", "block"
    (abstain) or "raise". None: "block", but "pass" under `annotate`, which keeps no answer back.
    A policy that wants further answers (`Resample`) needs an estimator that weighs whether they
    agree, and a caller who draws them and says so (`Situation.drawn`).
    `deadline` bounds every call in seconds; what is late is such an answer. So is what finds more
    than `max_waiting` answers waiting (OverloadedError), and what could not be scored by its
    deadline for all that waits before it (DeadlineError, at once).

        guard = Guard("mini")
        guard.assess(QuestionAnswer(question="What is 2 plus 2?", answer="5")).action

    Safe to share between threads and event loops; a copy is the guard itself. Requests that arrive
    within `window` seconds (at most 0.005 is sensible) are scored in one forward of at most
    `max_batch` answers, also those of other guards over the same estimator: they share its thread.
    `max_batch` None joins requests where the backend gains from it
    (`Capabilities.batching_gains`). A batch is never so large that it could not end by the
    deadlines of its members.

    With a `cache`, an answer that it knows by this estimator is not scored again. `observers` hear
    of every call and of what was judged (`telemetry.OpenTelemetry`, `scores.Langfuse`,
    `scores.LangSmith`); none of them can break or delay one. `metrics()` has the counts.

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
        cache: ScoreCache | None = None,
        observers: Sequence[Observer] = (),
        monitor: Monitor | None = None,
    ) -> None:
        if on_error is not None and on_error not in get_args(OnError):
            kinds = ", ".join(get_args(OnError))
            raise UsageError(f"unknown on_error {on_error!r}: there are {kinds}")
        if not window >= 0:
            raise UsageError(f"a window is a time in seconds, not {window!r}")
        if deadline is not None and not deadline > 0:
            raise UsageError(f"a deadline is a time in seconds above 0, not {deadline!r}")
        for name, number in (("max_batch", max_batch), ("max_waiting", max_waiting)):
            if number is not None and not number >= 1:
                raise UsageError(f"{name} is a number of answers, at least 1, not {number!r}")
        self.estimator = load_estimator(estimator)
        promises = self.estimator.manifest.known
        self.policy: Policy = (
            default_policy(promises) if policy is None else load_policy(policy, promises)
        )
        _check_agreement(self.policy, self.estimator)
        self._ledger = ledger_for(self.policy)
        self._first = Situation(ledger=self._ledger, why_void=self._why_void)
        self.keeps_last = keeps_last(self.policy)
        """Whether the last model's answer counts, instead of the one with the best p."""
        self.on_error_given = on_error
        """For a guard that is to differ in its policy: None goes by that one's."""
        passes = all(isinstance(part, Annotate | Resample | Fields) for part in parts(self.policy))
        self.on_error: OnError = on_error or ("pass" if passes else "block")
        self.deadline = deadline
        self.window, self.max_batch, self.max_waiting = window, max_batch, max_waiting
        most = max_batch or (Terms.max_batch if self.estimator.batching_gains else 1)
        if self.estimator.reads_together:
            most = 1  # a stranger's answer to the same question is no evidence
        self._terms = Terms(window, most, max_waiting)
        self._worker = worker_of(self.estimator)
        if cache is not None and self.estimator.reads_together:
            raise UsageError(
                f"{self.estimator.name} weighs the answers to a question together, so that a score"
                " is no answer's own: it takes no cache"
            )
        self.cache = cache
        self.observers = Observers(observers)
        if monitor is not None:
            monitor.check_of(self.estimator.manifest)
        self.monitor = monitor
        """Who else sees the confidences; it may be given later, too."""
        self._validity = Validity(self.estimator.folder)
        decided = next((part for part in parts(self.policy) if isinstance(part, Fields)), None)
        self.fields = None if decided is None else decided.paths
        """Paths of the fields that its policy decides on, none for every leaf; None: on none."""

    def under(self, policy: Policy) -> "Guard":
        """A guard that differs in its policy only. The calls of both are counted together."""
        made = Guard(
            self.estimator,
            policy,
            on_error=self.on_error_given,
            deadline=self.deadline,
            window=self.window,
            max_batch=self.max_batch,
            max_waiting=self.max_waiting,
            cache=self.cache,
            monitor=self.monitor,
        )
        made.observers = self.observers
        return made

    def assess(self, qa: QuestionAnswer, *, situation: Situation | None = None) -> Assessment:
        """Assess one answer."""
        return self.assess_batch([qa], situation=situation)[0]

    def assess_batch(
        self, items: Sequence[QuestionAnswer], *, situation: Situation | None = None
    ) -> list[Assessment]:
        """Assess many answers in one forward after another; results in order."""
        return self._decided(items, self.score(items), situation)

    def asking(self, items: Sequence[QuestionAnswer]) -> list[QuestionAnswer]:
        """The rows, those with a JSON answer asking for the fields that the policy decides on."""
        if self.fields is None:
            return list(items)
        return [
            qa.model_copy(update={"fields": self.fields})
            if qa.fields is None and qa.group is None and may_have_fields(qa.answer)
            else qa
            for qa in items
        ]

    def score(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        """The confidences of many answers, nothing decided on them; results in order."""
        if not items:
            return []
        items = self.asking(items)
        with self._observed(len(items)) as call:
            known = Known(self.cache, self.estimator, items)
            asked = known.unknown
            made = self._wait(self._submit(asked), asked, call) if asked else []
            return self._seen(items, known.with_scores(made, call))

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
        return self._decided(items, await self.ascore(items), situation)

    async def ascore(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        """`score` without blocking the event loop."""
        if not items:
            return []
        items = self.asking(items)
        with self._observed(len(items)) as call:
            known = Known(self.cache, self.estimator, items)
            asked = known.unknown
            made = await self._await(self._submit(asked), asked, call) if asked else []
            return self._seen(items, known.with_scores(made, call))

    def assess_generated(
        self, qa: QuestionAnswer, kv: KV, *, situation: Situation | None = None
    ) -> Assessment:
        """Assess an answer that the estimator's own base has just generated, from its live KV."""
        with self._observed(1) as call:
            scored = self._wait(self._submit_generated(qa, kv), [qa], call)
            call.scored = self._seen([qa], scored)
        return self._decided([qa], scored, situation)[0]

    async def aassess_generated(
        self, qa: QuestionAnswer, kv: KV, *, situation: Situation | None = None
    ) -> Assessment:
        """`assess_generated` without blocking the event loop."""
        with self._observed(1) as call:
            scored = await self._await(self._submit_generated(qa, kv), [qa], call)
            call.scored = self._seen([qa], scored)
        return self._decided([qa], scored, situation)[0]

    def decide(self, confidence: Confidence, situation: Situation | None = None) -> Decision:
        """The policy's decision on a confidence that is known already."""
        return self.decide_each([confidence], situation)[0]

    def decide_each(
        self, confidences: Sequence[Confidence], situation: Situation | None = None
    ) -> list[Decision]:
        """The policy's decisions on confidences that are known already, in order: for many, in less
        time than one by one."""
        known = (
            self._first
            if situation is None
            else replace(situation, ledger=self._ledger, why_void=self._why_void)
        )
        decisions = [
            decide(self.policy, confidence, on_error=self.on_error, situation=known)
            for confidence in confidences
        ]
        self.observers.decided(decisions)
        return decisions

    def metrics(self) -> dict[str, Any]:
        """Counts since this guard was made, as JSON values: `calls`, `answers`, those `cached`,
        their `statuses`, the `actions` decided, `errors` of calls by kind, what `observers` did not
        hear of, `seconds` of calls with their `buckets`; and now: calls `running`, answers
        `waiting` for the estimator, also those of other guards over it, and the state of the
        `cache`."""
        cache = None if self.cache is None else self.cache.state()
        return {**self.observers.counts.as_dict(), "waiting": self._worker.waiting, "cache": cache}

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

    def _why_void(self, promise: Voidable) -> str:
        known = "" if self.monitor is None else self.monitor.why_void(promise)
        return known or self._validity.why_void(promise)

    def _submit(self, items: Sequence[QuestionAnswer]) -> "Future[list[Confidence]]":
        return self._worker.submit(items, due=self._due(), terms=self._terms)

    def _submit_generated(self, qa: QuestionAnswer, kv: KV) -> "Future[list[Confidence]]":
        (qa,) = self.asking([qa])
        return self._worker.call(
            lambda: [self.estimator.score_generated(qa, kv)],
            due=self._due(),
            most=self.max_waiting,
        )

    def _observed(self, answers: int) -> AbstractContextManager[Call]:
        return self.observers.call(answers, self.estimator.name)

    def _due(self) -> float | None:
        return None if self.deadline is None else time.monotonic() + self.deadline

    def _wait(
        self, future: "Future[list[Confidence]]", items: Sequence[QuestionAnswer], call: Call
    ) -> list[Confidence]:
        try:
            return future.result(self.deadline)
        except Exception as error:
            raised = future.done() and not future.cancelled() and future.exception() is error
            return self._failed(items, error if raised else self._late(), call)
        finally:
            future.cancel()  # what nobody waits for any more need not be scored

    async def _await(
        self, future: "Future[list[Confidence]]", items: Sequence[QuestionAnswer], call: Call
    ) -> list[Confidence]:
        waited = asyncio.wrap_future(future)
        try:
            return await asyncio.wait_for(waited, self.deadline)
        except Exception as error:
            return self._failed(items, self._late() if waited.cancelled() else error, call)

    def _failed(
        self, items: Sequence[QuestionAnswer], error: Exception, call: Call
    ) -> list[Confidence]:
        """Whatever went wrong in the estimator is an error of these answers, not of the caller."""
        call.error = error
        if self.on_error == "raise":
            raise error
        said = str(error) if isinstance(error, CtGuardError) else _first_line(repr(error))
        return [self.estimator.unscored("error", said)] * len(items)

    def _late(self) -> DeadlineError:
        return DeadlineError(f"scoring took longer than the deadline of {self.deadline} s")

    def _decided(
        self,
        items: Sequence[QuestionAnswer],
        scored: Sequence[Confidence],
        situation: Situation | None,
    ) -> list[Assessment]:
        if situation is None or situation.drawn is None:
            refuse_draws(self.policy, "Guard.assess")
        decided = zip(scored, self.decide_each(scored, situation), strict=True)
        made = [Assessment(confidence=c, decision=d) for c, d in decided]
        for item, assessment in zip(items, made, strict=True):
            self.observers.judged(Judged.of(item, assessment))
        return made


def _check_agreement(policy: Policy, estimator: Estimator) -> None:
    """Raises PolicyError, which says how to fit one, for an estimator to which further answers say
    nothing."""
    if draws(policy) and "agreement" not in estimator.evidence:
        rows = "graded.jsonl" if estimator.backend is None else f"scored.jsonl -e {estimator.name}"
        raise PolicyError(
            f"{estimator.name} does not weigh whether further answers agree, which they are drawn"
            " for: fit that on graded rows of which some have a column 'samples', by 'ct-guard"
            f" calibrate {rows} --evidence agreement,model -o my-agreement'"
        )


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0]
