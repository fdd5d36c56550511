"""Who hears of a guard's calls, and the counts that every guard keeps of them."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

from ct_guard.forks import ForkLock
from ct_guard.records import Confidence, Decision

__all__ = ["SECONDS", "Call", "Counts", "Observer", "observed"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets that the duration of calls is counted in."""


@dataclass
class Call:
    """One call of a guard's, as it goes."""

    answers: int
    estimator: str
    cached: int = 0
    """Answers whose score was known."""
    scored: Sequence[Confidence] = ()
    error: Exception | None = None
    """Why answers are not scored, if that has one reason: the engine failed, it took too long, too
    much waits. It is raised, or goes by `on_error`."""
    seconds: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)
    """An observer's own."""


class Observer(Protocol):
    """Hears of every call, on the thread of the caller. It must be quick, and raise nothing."""

    def began(self, call: Call) -> None: ...

    def ended(self, call: Call) -> None: ...

    def decided(self, decision: Decision) -> None: ...


@contextmanager
def observed(observers: Sequence[Observer], answers: int, estimator: str) -> Iterator[Call]:
    """A call for the time of the block, told to the observers as it begins and, whatever becomes of
    it, as it ends."""
    call = Call(answers, estimator)
    begun = monotonic()
    with ExitStack() as told:
        for observer in observers:
            observer.began(call)
            told.callback(observer.ended, call)
        told.callback(lambda: setattr(call, "seconds", monotonic() - begun))
        try:
            yield call
        except Exception as error:
            call.error = error
            raise


class Counts:
    """Counts the calls of a guard."""

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._calls = self._answers = self._cached = self._running = 0
        self._statuses: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._actions: Counter[str] = Counter()
        self._seconds = 0.0
        self._buckets = [0] * (len(SECONDS) + 1)

    def began(self, call: Call) -> None:
        with self._lock:
            self._running += 1

    def ended(self, call: Call) -> None:
        with self._lock:
            self._running -= 1
            self._calls += 1
            self._answers += call.answers
            self._cached += call.cached
            self._statuses.update(one.status for one in call.scored)
            if call.error is not None:
                self._errors[type(call.error).__name__] += 1
            self._seconds += call.seconds
            self._buckets[bisect_left(SECONDS, call.seconds)] += 1

    def decided(self, decision: Decision) -> None:
        with self._lock:
            self._actions[decision.action] += 1

    def as_dict(self) -> dict[str, Any]:
        """JSON values. `errors` counts calls, by the kind of error; `buckets` those that took at
        most so many seconds."""
        with self._lock:
            upto = 0
            buckets: dict[str, int] = {}
            for bound, count in zip((*SECONDS, "inf"), self._buckets, strict=True):
                upto += count
                buckets[str(bound)] = upto
            return {
                "calls": self._calls,
                "running": self._running,
                "answers": self._answers,
                "cached": self._cached,
                "statuses": dict(self._statuses),
                "actions": dict(self._actions),
                "errors": dict(self._errors),
                "seconds": {"sum": self._seconds, "count": self._calls, "buckets": buckets},
            }
