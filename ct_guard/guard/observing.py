"""Who hears of a guard's calls and of what it judged, and the counts that every guard keeps."""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

from ct_guard.aside import Aside
from ct_guard.forks import ForkLock
from ct_guard.records import Action, Assessment, Confidence, Decision, QuestionAnswer, Status

__all__ = ["CONFIDENCE", "RUN", "SECONDS", "Call", "Counts", "Judged", "Observer", "Observers"]

CONFIDENCE, RUN = "ct_guard.confidence", "ct_guard.run"
"""What is judged: one answer, or an agent's whole run."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets that the duration of calls is counted in."""

_log = logging.getLogger("ct_guard.observing")


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


@dataclass(frozen=True)
class Judged:
    """An answer, or a run of an agent, as it was judged and left to its reader."""

    p: float | None
    """P(correct), or P(the run succeeds); None when not measured."""
    action: Action
    policy: str
    status: Status = "ok"
    estimator: str = ""
    name: str = CONFIDENCE
    id: str | None = None
    """Of the answer, as its author or the row calls it: a provider's id of the response."""
    run_id: str | None = None
    """LangChain's id of the run that gave it; None: of none."""
    trace_id: str | None = None
    """LangChain's id of the outermost run around it."""
    texts: Callable[[], tuple[str, str]] | None = None
    """Gives question and answer, to an observer that was told to send them."""

    @classmethod
    def of(cls, item: QuestionAnswer, made: Assessment) -> "Judged":
        return cls(
            p=made.p,
            action=made.action,
            policy=made.decision.policy,
            status=made.confidence.status,
            estimator=made.confidence.estimator,
            id=item.id,
            texts=lambda: (item.asked(), item.answer),
        )

    @property
    def explanation(self) -> str:
        """In one line that holds nothing of the texts."""
        said = f"status {self.status}" if self.p is None else f"P {self.p:.3f}"
        return f"{said}, {self.policy}: {self.action}"


class Observer(Protocol):
    """Hears of every call, and of what was judged, on the thread of the caller: quickly. What one
    raises is counted, logged by its kind, and reaches no caller."""

    def began(self, call: Call) -> None: ...

    def ended(self, call: Call) -> None: ...

    def decided(self, decision: Decision) -> None: ...

    def judged(self, judged: Judged) -> Callable[[], object] | None:
        """Take note of where the caller is, as the current span; what is returned is done aside,
        on a thread that delays nobody."""


class Observers:
    """The observers of a guard, none of whom can break or delay what it does, and its counts."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self.given, self.counts = tuple(observers), Counts()
        self._aside = Aside(self._do, name="ct-guard-observers")

    @contextmanager
    def call(self, answers: int, estimator: str) -> Iterator[Call]:
        """A call for the time of the block, told as it begins and, whatever becomes of it, as it
        ends."""
        call = Call(answers, estimator)
        begun = monotonic()
        with ExitStack() as told:
            self.counts.began(call)
            told.callback(self.counts.ended, call)
            for observer in self.given:
                self._tell(observer, observer.began, call)
                told.callback(self._tell, observer, observer.ended, call)
            told.callback(lambda: setattr(call, "seconds", monotonic() - begun))
            try:
                yield call
            except Exception as error:
                call.error = error
                raise

    def decided(self, decisions: Sequence[Decision]) -> None:
        self.counts.decided(decisions)
        for observer in self.given:
            for decision in decisions:
                self._tell(observer, observer.decided, decision)

    def judged(self, judged: Judged) -> None:
        """What observers do about it beyond 10,000 that wait is dropped, and counted."""
        for observer in self.given:
            work = self._tell(observer, observer.judged, judged)
            if work is not None and not self._aside.put([(observer, work)]):
                self.counts.missed("dropped")

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until observers are through with what they do aside, at most `timeout` seconds;
        whether they are."""
        return self._aside.flush(timeout)

    def _do(self, waiting: Sequence[tuple[Observer, Callable[[], object]]]) -> None:
        for observer, work in waiting:
            self._tell(observer, work)

    def _tell(self, observer: Observer, hears: Callable[..., Any], *what: Any) -> Any:
        try:
            return hears(*what)
        except Exception as error:
            # not its text: a client's may hold a key, or an answer
            if self.counts.missed("failed") == 1:
                _log.warning("an observer, %s, fails: %s", _kind(observer), _kind(error))
            return None


class Counts:
    """Counts the calls of a guard."""

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._calls = self._answers = self._cached = self._running = 0
        self._statuses: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._actions: Counter[str] = Counter()
        self._missed: Counter[str] = Counter()
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

    def decided(self, decisions: Sequence[Decision]) -> None:
        with self._lock:
            self._actions.update(decision.action for decision in decisions)

    def missed(self, why: str) -> int:
        """An observer did not hear of something; how often so, this time included."""
        with self._lock:
            self._missed[why] += 1
            return self._missed[why]

    def as_dict(self) -> dict[str, Any]:
        """JSON values. `errors` counts calls, by the kind of error; `observers` what these did not
        hear of (`failed`, `dropped`); `buckets` the calls that took at most so many seconds."""
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
                "observers": dict(self._missed),
                "seconds": {"sum": self._seconds, "count": self._calls, "buckets": buckets},
            }


def _kind(one: object) -> str:
    return type(one).__name__
