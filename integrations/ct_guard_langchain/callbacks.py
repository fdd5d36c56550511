"""Watching: the confidence of every model call in a run, without changing a single answer, and what
all of them come to."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from langchain_core.callbacks import dispatch_custom_event
from langchain_core.runnables import ensure_config
from langchain_core.tracers.context import register_configure_hook

from ct_guard.errors import LowConfidenceError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard, Observer, Terms
from ct_guard.monitoring import Monitor
from ct_guard.policies import OnError, Policy, Situation, refuse_draws

from .assess import Case, assess
from .hearing import WITHHELD, Listener, ModelCall
from .messages import text_of, turn_of, turns_of
from .per_call import POLICY, Guards, needs_estimator, policy_in
from .record import ConfidenceRecord, confidence_in, make_record, own_record
from .telling import judged_of

__all__ = ["EVENT", "ConfidenceCallbackHandler", "Observation", "get_confidence_callback", "report"]

EVENT = "ct_guard.confidence"
"""The name of the custom event of one confidence."""

_logger = logging.getLogger(__name__)

_WIDTH = 44


@dataclass(frozen=True)
class Observation:
    """One answer that was seen, and its confidence."""

    call: ModelCall
    record: ConfidenceRecord

    @property
    def p(self) -> float | None:
        return self.record["p"]

    @property
    def question(self) -> str:
        """What was asked, as the estimator reads it."""
        try:
            return turns_of(self.call.messages)[-1].content
        except UsageError:
            return "(not text)"

    @property
    def said(self) -> str:
        """The answer's text."""
        try:
            return text_of(self.call.answer)
        except UsageError:
            return "(not text)"


class ConfidenceCallbackHandler(Listener):
    """Scores what chat models and LLMs answer while they run, in chains and agents alike.

        watch = ConfidenceCallbackHandler("mini", policy=0.7)
        chain.batch(questions, {"callbacks": [watch]})
        print(watch.report())

    It observes: an answer reaches its reader as it is, and the record tells what the policy would
    have done. With `raise_error=True` an answer that does not pass raises LowConfidenceError out of
    the run; a stream has then been seen already. An answer that carries a record, as those of a
    `GuardedChatModel` do, is not scored again; without a `policy` its decision is listed as it is.
    A call's config or the run's context can set another policy by `ct_guard_policy`.

    `events=True` also sends every record as the custom event `ct_guard.confidence`, for
    `astream_events`; outside of a chain or graph there is no run to send it in, and it is left out.
    `observers` hear of every answer: with `LangSmith()` of `ct_guard.guard.scores`, every p becomes
    feedback on its run.

    Safe to share between threads and event loops: async runs call it on a thread.
    """

    run_inline = False

    def __init__(
        self,
        estimator: str | Path | Estimator | None = None,
        policy: str | float | Path | dict[str, Any] | Policy | None = None,
        *,
        on_error: OnError = "pass",
        deadline: float | None = None,
        window: float = Terms.window,
        max_batch: int | None = None,
        max_waiting: int = Terms.max_waiting,
        monitor: Monitor | None = None,
        observers: Sequence[Observer] = (),
        raise_error: bool = False,
        events: bool = False,
    ) -> None:
        """`estimator`, which must be given, to `on_error` and `deadline` to `observers` are those
        of `ct_guard.Guard`."""
        super().__init__()
        given = needs_estimator("ConfidenceCallbackHandler", estimator)
        self.raise_error = raise_error
        guard = Guard(
            given,
            policy,
            on_error=on_error,
            deadline=deadline,
            window=window,
            max_batch=max_batch,
            max_waiting=max_waiting,
            monitor=monitor,
            observers=observers,
        )
        refuse_draws(guard.policy, "ConfidenceCallbackHandler")
        # A call's policy is for the models in it: of one that draws, what it makes of each answer.
        self._guards = Guards(guard, "ConfidenceCallbackHandler", draws=True)
        self._decides = policy is not None
        self._events = events
        self._seen: list[Observation] = []

    @property
    def guard(self) -> Guard:
        """The guard with the policy of this object."""
        return self._guards.guard

    @property
    def observations(self) -> list[Observation]:
        """What was seen so far, in the order in which it was answered."""
        with self._lock:
            return list(self._seen)

    @property
    def records(self) -> list[ConfidenceRecord]:
        return [seen.record for seen in self.observations]

    def report(self, *, lowest: int = 5) -> str:
        """What was seen so far as a text: how many answers, their mean p, what the policy makes of
        them, and the `lowest` ones."""
        return report(self.observations, lowest=lowest)

    def heard(self, call: ModelCall) -> None:
        if (call.start.get("metadata") or {}).get(WITHHELD):
            return
        record = self._judge(call)
        seen = Observation(call, record)
        with self._lock:
            self._seen.append(seen)
        self._tell(seen)
        if self.raise_error and record["action"] != "pass":
            said = "not measured" if record["p"] is None else f"{record['p']:.3f}"
            raise LowConfidenceError(
                f"an answer with P(correct) {said} does not pass {record['policy']}: catch this"
                " error, or ask a stronger model"
            )

    def _judge(self, call: ModelCall) -> ConfidenceRecord:
        known = own_record(call.answer)
        given = policy_in(ensure_config())
        if given is None:
            given = (call.start.get("metadata") or {}).get(POLICY)
        guard = self._guards.under(given)
        if known is not None and not (self._decides or given is not None):
            return known
        if known is not None:
            situation = Situation(turn=known["turn"])
            decision = guard.decide(confidence_in(known), situation)
            return {**known, "action": decision.action, "policy": decision.policy}
        case = Case(guard, call.messages, call.answer, call.model)
        calls = getattr(call.answer, "tool_calls", ())
        return make_record(assess(case, Situation()), turn=turn_of(call.answer), calls=calls)

    def _tell(self, seen: Observation) -> None:
        if self._events:
            try:
                dispatch_custom_event(EVENT, dict(seen.record))
            except RuntimeError:
                _logger.debug("no run to send the event %s in", EVENT)
        call = seen.call
        traced = (str(call.run_id), None)
        judged = judged_of(seen.record, call.answer, call.messages, traced=traced)
        self.guard.observers.judged(judged)


_current: ContextVar[ConfidenceCallbackHandler | None] = ContextVar(
    "ct_guard_confidence_callback", default=None
)
register_configure_hook(_current, inheritable=True)


@contextmanager
def get_confidence_callback(
    estimator: str | Path | Estimator | None = None,
    policy: str | float | Path | dict[str, Any] | Policy | None = None,
    **options: Any,
) -> Iterator[ConfidenceCallbackHandler]:
    """Watch every model call in a `with` block, without passing callbacks around:

        with get_confidence_callback("mini", policy=0.7) as watch:
            agent.invoke({"messages": "What is 2 plus 2?"})
        print(watch.report())

    Takes what `ConfidenceCallbackHandler` takes. Blocks can be nested; the inner one watches.
    """
    handler = ConfidenceCallbackHandler(estimator, policy, **options)
    token = _current.set(handler)
    try:
        yield handler
    finally:
        _current.reset(token)


def report(observations: Sequence[Observation], *, lowest: int = 5) -> str:
    """Counts, mean p and actions, then the `lowest` rows, the least sure first; rows without a
    probability have none to be low, and are counted by their status; those that were not read
    whole, by what was done to them."""
    if not observations:
        return "no answers were seen"
    measured = sorted(
        ((seen.p, seen) for seen in observations if seen.p is not None), key=lambda pair: pair[0]
    )
    turns = Counter(seen.record["turn"] for seen in observations)
    lines = [
        f"answers     {turns['answer']}, tool calls {turns['tool_call']}",
        f"mean p      {fmean(p for p, _ in measured):.3f}" if measured else "mean p      none",
        f"actions     {_counts(seen.record['action'] for seen in observations)}",
    ]
    if len(measured) < len(observations):
        blank = (seen.record["status"] for seen in observations if seen.p is None)
        lines.append(f"unmeasured  {_counts(blank)}")
    if not_whole := [name for seen in observations for name in _not_whole(seen.record)]:
        lines.append(f"not whole   {_counts(not_whole)}")
    if rows := measured[:lowest]:
        lines += ["", f"{'p':>5}  {'action':9} {'question':{_WIDTH}} answer"]
        lines += [
            f"{p:5.3f}  {seen.record['action']:9} {_short(seen.question):{_WIDTH}}"
            f" {_short(seen.said)}"
            for p, seen in rows
        ]
    return "\n".join(lines)


def _not_whole(record: ConfidenceRecord) -> list[str]:
    """Why the estimator has not read all that was to be said."""
    return [name for name in ("truncated", "sanitized", "cut_off") if record.get(name, False)]


def _counts(values: Iterable[str]) -> str:
    return ", ".join(f"{value} {count}" for value, count in Counter(values).most_common())


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _WIDTH else f"{flat[: _WIDTH - 1]}…"
