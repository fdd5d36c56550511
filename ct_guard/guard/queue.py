"""What waits to be scored: what is scored together next, and what is refused for want of time."""

import statistics
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from ct_guard.errors import DeadlineError, OverloadedError
from ct_guard.records import Confidence, QuestionAnswer

__all__ = ["Batch", "Call", "Pace", "Queue", "Request", "Terms", "weigh"]


@dataclass(frozen=True)
class Terms:
    """How one caller's answers may be joined with those of others."""

    window: float = 0.002
    """Most seconds for which a request waits for company."""
    max_batch: int = 256
    """Most answers in a batch, unless one request alone is larger; 1 where joining gains
    nothing."""
    max_waiting: int = 10_000
    """Most answers that wait, unless one request alone is larger."""


@dataclass(eq=False)
class Request:
    """Answers to be scored, perhaps with those of others."""

    items: Sequence[QuestionAnswer]
    weight: int
    """About as much work as this (`weigh`)."""
    terms: Terms
    due: float | None
    """When its caller stops waiting, by the worker's clock."""
    future: "Future[list[Confidence]]" = field(default_factory=Future)
    first: bool = False
    """It found the worker idle: it is tried whatever the pace says, so that a pace that is no
    longer true does not stay."""


@dataclass(eq=False)
class Call:
    """A function that must not run beside a scoring."""

    function: Callable[[], Any]
    due: float | None
    most: int | None = None
    """Most answers that wait when it comes; None: it always may."""
    future: "Future[Any]" = field(default_factory=Future)


Job = Request | Call


class Batch:
    """Requests that are scored together."""

    def __init__(self, first: Request) -> None:
        self.requests: list[Request] = []
        self.rows = self.weight = 0
        self.most = first.terms.max_batch
        self.due: float | None = None
        self.append(first)

    def append(self, request: Request) -> None:
        self.requests.append(request)
        self.rows += len(request.items)
        self.weight += request.weight
        self.most = min(self.most, request.terms.max_batch)
        self.due = _earlier(self.due, request.due)

    def takes(self, request: Request, pace: "Pace", now: float) -> bool:
        """Whether another request may join.

        A batch takes at most half of the time that is left to its most urgent member: where the
        pace misjudged it, there is time for some of them one by one.
        """
        if self.rows + len(request.items) > min(self.most, request.terms.max_batch):
            return False
        due = _earlier(self.due, request.due)
        if due is None:
            return True
        return pace.known and pace.seconds(self.weight + request.weight) <= (due - now) / 2


class Pace:
    """How long scoring takes here: the median of the latest batches, in seconds for a weight."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=8)
        self._rate = 0.0

    def took(self, weight: int, seconds: float) -> None:
        self._latest.append(seconds / max(1, weight))
        self._rate = statistics.median(self._latest)

    def seconds(self, weight: float) -> float:
        """Expected for so much work; 0 as long as nothing is known."""
        return weight * self._rate

    @property
    def known(self) -> bool:
        return bool(self._latest)


class Queue:
    """Jobs in the order in which they came. Its owner keeps threads apart."""

    def __init__(self) -> None:
        self.pace = Pace()
        self._jobs: OrderedDict[Job, None] = OrderedDict()
        self._rows = self._weight = self._with_deadline = 0

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def rows(self) -> int:
        """Answers that wait; a call counts as one."""
        return self._rows

    def add(self, job: Job, *, now: float, busy_until: float | None) -> None:
        """`busy_until` is when that which runs is expected to end, None where nothing runs.

        Raises OverloadedError where too much waits, DeadlineError where the job would end too late.
        """
        most = job.terms.max_waiting if isinstance(job, Request) else job.most
        if most is not None and self._rows and self._rows + _rows_of(job) > most:
            raise OverloadedError(
                f"{self._rows} answers wait to be scored, and at most {most} may (max_waiting):"
                " ask again later"
            )
        if isinstance(job, Request):
            job.first = busy_until is None and not self._jobs
            self._check_time(job, max(now, busy_until or now), self._weight)
        self._jobs[job] = None
        self._count(job, 1)

    def remove(self, job: Job) -> None:
        """Forget a job that nobody waits for any more, or one that is gone already."""
        if job in self._jobs:
            del self._jobs[job]
            self._count(job, -1)

    def shed(self, now: float) -> list[tuple[Job, DeadlineError]]:
        """Take out the jobs that cannot end in time, in favour of those that can."""
        if not self._with_deadline:
            return []
        late: list[tuple[Job, DeadlineError]] = []
        ahead = 0
        for job in self._jobs:
            try:
                if job.due is not None and job.due <= now:
                    raise DeadlineError("the deadline passed before scoring began")
                if isinstance(job, Request):
                    self._check_time(job, now, ahead)
                    ahead += job.weight
            except DeadlineError as error:
                late.append((job, error))
        for job, _ in late:
            self.remove(job)
        return late

    def pop(self) -> Job:
        """The job that came first."""
        job = next(iter(self._jobs))
        self.remove(job)
        return job

    def pop_into(self, batch: Batch, now: float) -> bool:
        """Add the next job to a batch; False where it has to wait for its turn."""
        job = next(iter(self._jobs))
        if isinstance(job, Call) or not batch.takes(job, self.pace, now):
            return False
        self.remove(job)
        batch.append(job)
        return True

    def clear(self) -> list[Job]:
        """Take out all."""
        return [self.pop() for _ in range(len(self))]

    def _count(self, job: Job, by: int) -> None:
        self._with_deadline += by * (job.due is not None)
        self._rows += by * _rows_of(job)
        if isinstance(job, Request):
            self._weight += by * job.weight

    def _check_time(self, request: Request, start: float, ahead: int) -> None:
        """Raise DeadlineError for a request that ends too late, beginning at `start` behind so much
        weight `ahead`. At best, a batch takes as long as one of its answers."""
        if request.due is None or request.first:
            return
        seconds = self.pace.seconds(ahead / request.terms.max_batch + request.weight)
        if start + seconds > request.due:
            raise DeadlineError(
                f"scoring would end after the deadline: with what waits before, it takes about"
                f" {seconds:.2g} s, of which {max(0.0, request.due - start):.2g} s are left"
            )


def _rows_of(job: Job) -> int:
    return len(job.items) if isinstance(job, Request) else 1


def weigh(items: Sequence[QuestionAnswer], longest: int) -> int:
    """How much work answers are: about the characters that are read, at most `longest` each; the
    constant stands for template and query."""
    return sum(min(longest, 200 + len(qa.answer) + _asked(qa)) for qa in items)


def _asked(qa: QuestionAnswer) -> int:
    return len(qa.question) + len(qa.context or "") + sum(len(turn.content) for turn in qa.messages)


def _earlier(one: float | None, other: float | None) -> float | None:
    return min((due for due in (one, other) if due is not None), default=None)
