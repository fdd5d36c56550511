"""The guard under load: many callers, callers in a hurry, and an estimator that hangs."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ct_guard.errors import DeadlineError, OverloadedError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard
from ct_guard.policies import Threshold
from ct_guard.records import Assessment, Confidence, QuestionAnswer
from ct_guard.testing import FakeBackend
from tests.known_confidence import estimator_on


class Gate:
    """Where scoring stops until it is opened."""

    def __init__(self) -> None:
        self.opened, self.reached = threading.Event(), threading.Event()
        self.batches: list[int] = []

    def __call__(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        self.batches.append(len(items))
        self.reached.set()
        self.opened.wait(30)
        return [Confidence(p=0.5, logit=float(qa.answer)) for qa in items]


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


@pytest.fixture
def estimator(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Estimator:
    made = estimator_on(FakeBackend())
    monkeypatch.setattr(made, "score", gate)
    return made


@pytest.fixture
def busy(estimator: Estimator, gate: Gate) -> threading.Thread:
    """Somebody is being scored, and takes as long as the gate is shut."""
    caller = threading.Thread(target=Guard(estimator, 0.4).assess, args=(qa(0),))
    caller.start()
    gate.reached.wait(10)
    return caller


def qa(answer: object) -> QuestionAnswer:
    return QuestionAnswer(question="q", answer=str(answer))


def threads(count: int, target: Callable[[int], object]) -> list[threading.Thread]:
    made = [threading.Thread(target=target, args=(n,)) for n in range(count)]
    for thread in made:
        thread.start()
    return made


def join(running: Sequence[threading.Thread]) -> None:
    for thread in running:
        thread.join(30)


def test_two_hundred_threads_each_get_their_own_answer(estimator: Estimator, gate: Gate) -> None:
    gate.opened.set()
    guards = [Guard(estimator, 0.4, max_batch=most) for most in (None, 1, 7)]
    right: list[bool] = []

    def call(n: int) -> None:
        for round_ in range(5):
            number = 1000 * n + round_
            found = guards[n % 3].assess(qa(number))
            right.append(found.confidence.logit == number and found.action == "pass")

    join(threads(200, call))
    assert right == [True] * 1000
    assert sum(gate.batches) == 1000


def test_a_guard_that_takes_one_at_a_time_joins_nobody(
    estimator: Estimator, gate: Gate, busy: threading.Thread
) -> None:
    waiting = threads(5, lambda n: Guard(estimator, 0.4, max_batch=1).assess(qa(n)))
    gate.opened.set()
    join([busy, *waiting])
    assert gate.batches == [1] * 6


@pytest.mark.parametrize("gains", [True, False])
async def test_requests_join_by_default_where_the_backend_gains(
    estimator: Estimator, gate: Gate, gains: bool
) -> None:
    backend = estimator.backend
    assert isinstance(backend, FakeBackend)
    backend.capabilities = replace(backend.capabilities, batching_gains=gains)
    gate.opened.set()
    guard = Guard(estimator, 0.4, window=1.0)
    await asyncio.gather(*(guard.aassess(qa(n)) for n in range(8)))
    assert gate.batches == ([8] if gains else [1] * 8)


async def test_twenty_callers_with_time_enough_are_all_answered(
    estimator: Estimator, gate: Gate
) -> None:
    gate.opened.set()
    guard = Guard(estimator, 0.4, deadline=60.0)
    found = await asyncio.gather(*(guard.aassess(qa(n)) for n in range(20)))
    assert [a.confidence.logit for a in found] == list(range(20))


async def test_twenty_callers_without_time_each_get_an_error_by_their_deadline(
    estimator: Estimator, gate: Gate, busy: threading.Thread
) -> None:
    guard, patient = (Guard(estimator, 0.4, deadline=deadline) for deadline in (0.05, None))
    waits = asyncio.create_task(patient.aassess(qa(7)))
    found = await asyncio.gather(*(guard.aassess(qa(n)) for n in range(20)))
    assert {(a.p, a.action, a.confidence.status) for a in found} == {(None, "abstain", "error")}
    gate.opened.set()
    assert (await waits).confidence.logit == 7
    busy.join(30)
    assert sum(gate.batches) == 2


@pytest.mark.parametrize(("on_error", "action"), [("pass", "pass"), ("block", "abstain")])
async def test_a_full_queue_goes_by_on_error(
    estimator: Estimator, gate: Gate, busy: threading.Thread, on_error: Any, action: str
) -> None:
    guard = Guard(estimator, 0.4, max_waiting=1, on_error=on_error)
    waits = asyncio.create_task(guard.aassess(qa(7)))
    await asyncio.sleep(0)
    shed: list[Assessment] = [await guard.aassess(qa(8)), guard.assess(qa(9))]
    assert {(a.p, a.action) for a in shed} == {(None, action)}
    assert "1 answers wait to be scored, and at most 1 may" in (shed[0].confidence.error or "")
    gate.opened.set()
    assert (await waits).confidence.logit == 7
    busy.join(30)


async def test_a_full_queue_may_raise(
    estimator: Estimator, gate: Gate, busy: threading.Thread
) -> None:
    guard = Guard(estimator, 0.4, max_waiting=1, on_error="raise")
    waits = asyncio.create_task(guard.aassess(qa(7)))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await guard.aassess(qa(8))
    with pytest.raises(OverloadedError):
        guard.assess(qa(9))
    gate.opened.set()
    await waits
    busy.join(30)


def test_a_hung_estimator_piles_up_nothing_and_the_guard_closes(
    estimator: Estimator, busy: threading.Thread
) -> None:
    guard = Guard(estimator, 0.4, deadline=0.002, max_waiting=1)
    errors = {guard.assess(qa(n)).confidence.error for n in range(30)}
    assert errors == {"scoring took longer than the deadline of 0.002 s"}
    with pytest.raises(DeadlineError, match=r"scoring 1 answers still runs .* \(0 requests"):
        guard.close(timeout=0.01)
    with pytest.raises(UsageError, match="closed"):
        guard.assess(qa(1))


def test_a_guard_that_could_not_close_closes_later(
    estimator: Estimator, gate: Gate, busy: threading.Thread
) -> None:
    guard = Guard(estimator, 0.4)
    with pytest.raises(DeadlineError):
        guard.close(timeout=0.01)
    gate.opened.set()
    guard.close(timeout=30)
    busy.join(30)


def test_a_guard_under_another_policy_keeps_everything_else(estimator: Estimator) -> None:
    guard = Guard(
        estimator, 0.4, on_error="pass", deadline=9.0, window=0.1, max_batch=3, max_waiting=5
    )
    other = guard.under(Threshold(threshold=0.9))
    assert other.policy == Threshold(threshold=0.9)
    kept = ("estimator", "on_error", "deadline", "window", "max_batch", "max_waiting")
    assert [getattr(other, name) for name in kept] == [getattr(guard, name) for name in kept]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"deadline": 0}, "a deadline is a time in seconds above 0, not 0"),
        ({"deadline": float("nan")}, "a deadline is a time"),
        ({"max_batch": 0}, "max_batch is a number of answers, at least 1, not 0"),
        ({"max_waiting": -1}, "max_waiting is a number of answers, at least 1, not -1"),
    ],
)
def test_limits_that_make_no_sense_are_refused(
    estimator: Estimator, option: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Guard(estimator, **option)
