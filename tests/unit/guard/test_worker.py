"""The one thread that owns a model: what it joins, what it drops, and whom an error reaches."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError

import pytest

from ct_guard.errors import BackendError, DeadlineError, OverloadedError, UsageError
from ct_guard.guard import Terms, Worker
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


EIGHT = Terms(window=0.02, max_batch=8)


class Clock:
    """Stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(scorer: Scorer, clock: Clock) -> Iterator[Worker]:
    made = Worker(scorer, clock=clock)
    yield made
    made.close()


HoldOf = Callable[[Worker], Callable[[], None]]


@pytest.fixture
def hold_of() -> Iterator[HoldOf]:
    """Keeps a worker busy until what it returns is called."""
    held: list[threading.Event] = []

    def hold(worker: Worker) -> Callable[[], None]:
        release, busy = threading.Event(), threading.Event()
        held.append(release)

        def wait() -> None:
            busy.set()
            release.wait(10)

        worker.call(wait)
        busy.wait(10)
        return release.set

    yield hold
    for release in held:
        release.set()


@pytest.fixture
def hold(worker: Worker, hold_of: HoldOf) -> Callable[[], None]:
    """The worker is busy until this is called."""
    return hold_of(worker)


def test_requests_that_wait_together_are_scored_together(
    worker: Worker, scorer: Scorer, hold: Callable[[], None]
) -> None:
    futures = [worker.submit(rows(n, n + 0.5), terms=EIGHT) for n in range(3)]
    hold()
    assert [[c.logit for c in f.result(10)] for f in futures] == [[0, 0.5], [1, 1.5], [2, 2.5]]
    assert scorer.batches == [["0", "0.5", "1", "1.5", "2", "2.5"]]


def test_a_request_that_arrives_within_the_window_joins(scorer: Scorer) -> None:
    worker, pair = Worker(scorer), Terms(window=2.0, max_batch=2)
    first = worker.submit(rows(1), terms=pair)
    time.sleep(0.05)
    second = worker.submit(rows(2), terms=pair)
    assert (first.result(10)[0].logit, second.result(10)[0].logit) == (1, 2)
    assert scorer.batches == [["1", "2"]]
    worker.close()


def test_a_lone_request_does_not_wait_for_the_whole_window(scorer: Scorer) -> None:
    worker = Worker(scorer)
    started = time.monotonic()
    worker.submit(rows(1), terms=Terms(window=4.0)).result(10)
    assert time.monotonic() - started < 2
    worker.close()


def test_the_window_ends_although_requests_keep_coming(scorer: Scorer) -> None:
    worker, terms = Worker(scorer), Terms(window=0.2, max_batch=1000)
    stop = threading.Event()

    def keep_coming() -> None:
        while not stop.wait(0.005):
            worker.submit(rows(0), terms=terms)

    first = worker.submit(rows(1), terms=terms)
    coming = threading.Thread(target=keep_coming)
    coming.start()
    assert first.result(10)[0].logit == 1
    stop.set()
    coming.join(10)
    worker.close()


def test_a_batch_holds_what_fits_and_order_is_kept(
    worker: Worker, scorer: Scorer, hold: Callable[[], None]
) -> None:
    futures = [worker.submit(rows(*range(size)), terms=EIGHT) for size in (5, 3, 1, 12, 2)]
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


def test_what_only_a_batch_raises_costs_nobody_the_thread(hold_of: "HoldOf") -> None:
    def score(items: Sequence[QuestionAnswer]) -> list[Confidence]:
        if len(items) > 1:
            raise SystemExit
        return [Confidence(p=0.5, logit=float(items[0].answer))]

    worker = Worker(score)
    release = hold_of(worker)
    futures = [worker.submit(rows(n)) for n in range(3)]
    release()
    assert [f.result(10)[0].logit for f in futures] == [0, 1, 2]
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


def test_who_is_cancelled_leaves_the_queue(
    worker: Worker, scorer: Scorer, hold: Callable[[], None]
) -> None:
    """A scoring that hangs must not pile up what nobody waits for any more."""
    one = Terms(max_waiting=1)
    for n in range(50):
        assert worker.submit(rows(n), terms=one).cancel()
    kept = worker.submit(rows(50), terms=one)
    refused = worker.submit(rows(51), terms=one)
    with pytest.raises(OverloadedError, match="1 answers wait"):
        refused.result(0)
    hold()
    assert kept.result(10)[0].logit == 50
    assert scorer.batches == [["50"]]


def test_what_is_too_late_when_its_turn_comes_is_not_scored(
    worker: Worker, scorer: Scorer, clock: Clock, hold: Callable[[], None]
) -> None:
    late, in_time, call = (
        worker.submit(rows(1), due=5.0),
        worker.submit(rows(2), due=50.0),
        worker.call(lambda: scorer.batches.append(["call"]), due=5.0),
    )
    clock.now = 6.0
    hold()
    assert in_time.result(10)[0].logit == 2
    for future in (late, call):
        with pytest.raises(DeadlineError, match="the deadline passed before scoring began"):
            future.result(10)
    assert scorer.batches == [["2"]]


def test_who_could_not_be_served_in_time_is_told_so_at_once(
    scorer: Scorer, clock: Clock, hold_of: HoldOf
) -> None:
    def score(items: Sequence[QuestionAnswer]) -> list[Confidence]:
        clock.now += 10.0 * len(items)
        return scorer(items)

    worker = Worker(score, clock=clock)
    worker.submit(rows(0)).result(10)
    release = hold_of(worker)
    alone = Terms(max_batch=1)
    served = [worker.submit(rows(n), due=clock.now + 25.0, terms=alone) for n in range(2)]
    refused = worker.submit(rows(2), due=clock.now + 25.0, terms=alone)
    with pytest.raises(DeadlineError, match=r"it takes about 30 s, of which 25 s are left"):
        refused.result(0)
    release()
    assert [f.result(10)[0].logit for f in served] == [0, 1]
    worker.close()


def test_after_a_batch_that_failed_only_those_who_still_wait_are_scored(
    clock: Clock, hold_of: HoldOf
) -> None:
    tried: list[int] = []

    def score(items: Sequence[QuestionAnswer]) -> list[Confidence]:
        tried.append(len(items))
        if len(items) > 1:
            clock.now = 5.0
            raise ZeroDivisionError
        return [Confidence(p=0.5)]

    worker = Worker(score, clock=clock)
    worker.submit(rows(0)).result(10)
    release = hold_of(worker)
    gone, waits = worker.submit(rows(1), due=4.0), worker.submit(rows(2))
    release()
    assert waits.result(10)[0].p == 0.5
    with pytest.raises(DeadlineError, match="passed while scoring"):
        gone.result(10)
    assert tried == [1, 2, 1]
    worker.close()


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
    worker = Worker(scorer)
    futures = [worker.submit(rows(n), terms=Terms(window=5.0)) for n in range(4)]
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
    worker = Worker(scorer, idle=0.05)
    first = worker.call(threading.current_thread).result(10)
    first.join(10)
    assert not first.is_alive()
    assert worker.submit(rows(1)).result(10)[0].logit == 1
    assert worker.call(threading.current_thread).result(10) is not first
    worker.close()


def test_a_worker_that_never_worked_closes() -> None:
    Worker(Scorer()).close()


def test_closing_gives_up_on_what_hangs_and_says_what_that_is(hold_of: HoldOf) -> None:
    reached, release = threading.Event(), threading.Event()

    def score(items: Sequence[QuestionAnswer]) -> list[Confidence]:
        reached.set()
        release.wait(10)
        return [Confidence(p=0.5)] * len(items)

    worker = Worker(score)
    running = worker.submit(rows(1, 2))
    reached.wait(10)
    waiting = [worker.submit(rows(n)) for n in range(3)]
    with pytest.raises(DeadlineError, match=r"scoring 2 answers still runs .* \(3 requests behind"):
        worker.close(timeout=0.01)
    for future in waiting:
        with pytest.raises(UsageError, match="closed before"):
            future.result(0)
    release.set()
    worker.close(timeout=10)
    assert len(running.result(0)) == 2


def test_leaving_ends_what_runs_and_what_waits() -> None:
    reached = threading.Event()

    def score(items: Sequence[QuestionAnswer]) -> list[Confidence]:
        reached.set()
        while True:
            time.sleep(0.001)

    worker = Worker(score)
    running = worker.submit(rows(1))
    reached.wait(10)
    worker.submit(rows(2))
    worker.leave(patience=10)
    with pytest.raises(SystemExit):
        running.result(0)
    with pytest.raises(UsageError, match="closed"):
        worker.submit(rows(3))


@pytest.mark.parametrize("use", [Worker.close, lambda each: each.submit(rows(1)).result(10)])
def test_what_would_wait_for_its_own_thread_is_refused(
    worker: Worker, use: Callable[[Worker], object]
) -> None:
    with pytest.raises(UsageError, match="the thread that owns the estimator"):
        worker.call(lambda: use(worker)).result(10)
    assert worker.submit(rows(2)).result(10)[0].logit == 2


def test_where_the_system_has_no_thread_left_that_request_fails_and_the_next_is_scored(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", refuse)
        with pytest.raises(BackendError, match="can't start new thread"):
            worker.submit(rows(1)).result(10)
    assert worker.waiting == 0
    assert worker.submit(rows(2)).result(10)[0].logit == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_while_somebody_holds_a_worker_that_never_worked_leaves_the_child_free(
    scorer: Scorer,
) -> None:
    worker = Worker(scorer)
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with worker._wake:
            held.set()
            let_go.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    if (child := os.fork()) == 0:
        signal.alarm(30)
        os._exit(0 if worker.submit(rows(2)).result(10)[0].logit == 2 else 1)
    let_go.set()
    holder.join(10)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_forked_child_begins_afresh(
    worker: Worker, scorer: Scorer, hold: Callable[[], None]
) -> None:
    worker.submit(rows(1))
    worker.forked()  # as in a child, where the busy thread is not
    assert worker.submit(rows(2)).result(10)[0].logit == 2
    assert scorer.batches == [["2"]]
