"""The one thread that owns a model: what it joins, what it drops, and whom an error reaches."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError

import pytest

from ct_guard.errors import BackendError, UsageError
from ct_guard.guard import Worker
from ct_guard.records import Confidence, QuestionAnswer


class Scorer:
    """Scores by the answer's number; remembers its batches; "bad" spoils a batch."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def __call__(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        self.batches.append([qa.answer for qa in items])
        if any(qa.answer == "bad" for qa in items):
            raise ZeroDivisionError
        return [Confidence(p=0.5, logit=float(qa.answer)) for qa in items]


def rows(*answers: object) -> list[QuestionAnswer]:
    return [QuestionAnswer(question="q", answer=str(answer)) for answer in answers]


@pytest.fixture
def scorer() -> Scorer:
    return Scorer()


@pytest.fixture
def worker(scorer: Scorer) -> Iterator[Worker]:
    made = Worker(scorer, window=0.02, most=8)
    yield made
    made.close()


@pytest.fixture
def hold(worker: Worker) -> Iterator[Callable[[], None]]:
    """The worker is busy until this is called."""
    release, busy = threading.Event(), threading.Event()

    def wait() -> None:
        busy.set()
        release.wait(10)

    worker.call(wait)
    busy.wait(10)
    yield release.set
    release.set()


def test_requests_that_wait_together_are_scored_together(
    worker: Worker, scorer: Scorer, hold: Callable[[], None]
) -> None:
    futures = [worker.submit(rows(n, n + 0.5)) for n in range(3)]
    hold()
    assert [[c.logit for c in f.result(10)] for f in futures] == [[0, 0.5], [1, 1.5], [2, 2.5]]
    assert scorer.batches == [["0", "0.5", "1", "1.5", "2", "2.5"]]


def test_a_request_that_arrives_within_the_window_joins(scorer: Scorer) -> None:
    worker = Worker(scorer, window=2.0, most=2)
    first = worker.submit(rows(1))
    time.sleep(0.05)
    second = worker.submit(rows(2))
    assert (first.result(10)[0].logit, second.result(10)[0].logit) == (1, 2)
    assert scorer.batches == [["1", "2"]]
    worker.close()


def test_a_lone_request_does_not_wait_for_the_whole_window(scorer: Scorer) -> None:
    worker = Worker(scorer, window=4.0)
    started = time.monotonic()
    worker.submit(rows(1)).result(10)
    assert time.monotonic() - started < 2
    worker.close()


def test_the_window_ends_although_requests_keep_coming(scorer: Scorer) -> None:
    worker = Worker(scorer, window=0.2, most=1000)
    stop = threading.Event()

    def keep_coming() -> None:
        while not stop.wait(0.005):
            worker.submit(rows(0))

    first = worker.submit(rows(1))
    coming = threading.Thread(target=keep_coming)
    coming.start()
    assert first.result(10)[0].logit == 1
    stop.set()
    coming.join(10)
    worker.close()


def test_a_batch_holds_what_fits_and_order_is_kept(
    worker: Worker, scorer: Scorer, hold: Callable[[], None]
) -> None:
    futures = [worker.submit(rows(*range(size))) for size in (5, 3, 1, 12, 2)]
    hold()
    assert [len(f.result(10)) for f in futures] == [5, 3, 1, 12, 2]
    assert [len(batch) for batch in scorer.batches] == [8, 1, 12, 2]


def test_an_error_hits_only_the_request_that_caused_it(
    worker: Worker, scorer: Scorer, hold: Callable[[], None]
) -> None:
    before, guilty, after = (worker.submit(rows(answer)) for answer in (1, "bad", 3))
    hold()
    assert before.result(10)[0].logit == 1
    assert after.result(10)[0].logit == 3
    with pytest.raises(ZeroDivisionError):
        guilty.result(10)
    assert scorer.batches[0] == ["1", "bad", "3"]
    assert worker.submit(rows(4)).result(10)[0].logit == 4


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_scores_is_nobodys_score(count: int) -> None:
    worker = Worker(lambda items: [Confidence(p=0.5)] * count)
    with pytest.raises(BackendError, match=f"returned {count} scores for 2 answers"):
        worker.submit(rows(1, 2)).result(10)
    worker.close()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, MemoryError])
def test_whatever_is_raised_reaches_the_caller_and_the_thread_lives(
    error: type[BaseException],
) -> None:
    def score(items: Sequence[QuestionAnswer]) -> list[Confidence]:
        if items[0].answer == "bad":
            raise error
        return [Confidence(p=0.5)] * len(items)

    worker = Worker(score)
    with pytest.raises(error):
        worker.submit(rows("bad")).result(10)
    assert worker.submit(rows(1)).result(10)[0].p == 0.5
    worker.close()


async def test_a_stop_iteration_is_an_error_that_futures_can_carry() -> None:
    nothing: Iterator[list[Confidence]] = iter(())
    worker = Worker(lambda items: next(nothing))
    with pytest.raises(RuntimeError, match="scoring raised StopIteration"):
        await asyncio.wait_for(asyncio.wrap_future(worker.submit(rows(1))), 10)
    worker.close()


def test_a_request_cancelled_while_it_waits_is_not_scored(
    worker: Worker, scorer: Scorer, hold: Callable[[], None]
) -> None:
    dropped, kept = worker.submit(rows(1)), worker.submit(rows(2))
    assert dropped.cancel()
    hold()
    assert kept.result(10)[0].logit == 2
    assert scorer.batches == [["2"]]
    with pytest.raises(CancelledError):
        dropped.result(10)


def test_nothing_is_scored_when_all_were_cancelled(
    worker: Worker, scorer: Scorer, hold: Callable[[], None]
) -> None:
    for future in [worker.submit(rows(1)), worker.submit(rows(2))]:
        future.cancel()
    cancelled_call = worker.call(lambda: scorer.batches.append(["call"]))
    cancelled_call.cancel()
    hold()
    worker.call(lambda: None).result(10)
    assert scorer.batches == []


def test_a_call_runs_alone_and_in_turn(
    worker: Worker, scorer: Scorer, hold: Callable[[], None]
) -> None:
    worker.submit(rows(1))
    seen = worker.call(lambda: list(scorer.batches))
    last = worker.submit(rows(2))
    hold()
    assert seen.result(10) == [["1"]]
    last.result(10)
    assert scorer.batches == [["1"], ["2"]]


def test_calls_and_scores_share_one_thread(worker: Worker) -> None:
    names = {worker.call(threading.get_ident).result(10) for _ in range(3)}
    assert len(names) == 1
    assert names != {threading.get_ident()}


def test_a_call_that_fails_raises_for_its_caller(worker: Worker) -> None:
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 / 0).result(10)
    assert worker.call(lambda: 7).result(10) == 7


def test_closing_finishes_what_waits_and_then_refuses(scorer: Scorer) -> None:
    worker = Worker(scorer, window=5.0)
    futures = [worker.submit(rows(n)) for n in range(4)]
    started = time.monotonic()
    worker.close()
    assert time.monotonic() - started < 4
    assert [f.result(0)[0].logit for f in futures] == [0, 1, 2, 3]
    worker.close()
    with pytest.raises(UsageError, match="closed"):
        worker.submit(rows(1))
    with pytest.raises(UsageError, match="closed"):
        worker.call(lambda: None)


def test_a_thread_without_work_ends_and_the_next_request_starts_another(scorer: Scorer) -> None:
    worker = Worker(scorer, window=0.0, idle=0.05)
    first = worker.call(threading.current_thread).result(10)
    first.join(10)
    assert not first.is_alive()
    assert worker.submit(rows(1)).result(10)[0].logit == 1
    assert worker.call(threading.current_thread).result(10) is not first
    worker.close()


def test_a_worker_that_never_worked_closes() -> None:
    Worker(Scorer()).close()
