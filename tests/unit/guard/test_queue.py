"""What is scored together next, and what is refused: on a clock that only the tests move."""

from collections.abc import Sequence

import pytest

from ct_guard.errors import DeadlineError, OverloadedError
from ct_guard.guard.queue import Batch, Call, Pace, Queue, Request, Terms, weigh
from ct_guard.records import Message, QuestionAnswer

ONE = 100
"""Weight of one answer here."""


def request(rows: int = 1, due: float | None = None, **terms: int) -> Request:
    items = [QuestionAnswer(question="q", answer="a")] * rows
    return Request(items, ONE * rows, Terms(**terms), due)


def at_pace(seconds: float) -> Queue:
    """A queue that has seen answers take so long each."""
    queue = Queue()
    queue.pace.took(ONE, seconds)
    return queue


def next_batch(queue: Queue, now: float) -> list[Request]:
    first = queue.pop()
    assert isinstance(first, Request)
    batch = Batch(first)
    while queue and queue.pop_into(batch, now):
        pass
    return batch.requests


def serve(requests: Sequence[Request], seconds: float, *, actual: float | None = None) -> int:
    """How many are answered by their deadlines where every answer takes `seconds`, or really
    `actual`, however many are scored together."""
    queue, now, answered = at_pace(seconds), 0.0, 0
    for each in requests:
        try:
            queue.add(each, now=now, busy_until=now)
        except DeadlineError:
            continue
    while queue:
        queue.shed(now)
        if not queue:
            break
        batch = next_batch(queue, now)
        now += sum(len(each.items) for each in batch) * (actual or seconds)
        answered += sum(each.due is None or now <= each.due for each in batch)
    return answered


# --- batches -------------------------------------------------------------------------------------


def test_without_deadlines_a_batch_takes_all_that_fits() -> None:
    queue = Queue()
    for rows in (5, 3, 1, 12, 2):
        queue.add(request(rows, max_batch=8), now=0, busy_until=None)
    sizes = []
    while queue:
        sizes.append([len(each.items) for each in next_batch(queue, 0)])
    assert sizes == [[5, 3], [1], [12], [2]]


def test_the_smallest_limit_in_a_batch_counts() -> None:
    queue = Queue()
    for most in (8, 8, 2, 8):
        queue.add(request(max_batch=most), now=0, busy_until=None)
    assert [len(next_batch(queue, 0)) for _ in range(2)] == [2, 2]


def test_a_batch_takes_at_most_half_of_the_time_that_its_most_urgent_member_has() -> None:
    queue = at_pace(1.0)
    for due in (20.0, 8.0, 20.0, 20.0, 20.0, 20.0):
        queue.add(request(due=due), now=0, busy_until=0)
    assert len(next_batch(queue, 0)) == 4


def test_before_anything_is_known_an_answer_with_a_deadline_is_scored_alone() -> None:
    queue = Queue()
    for _ in range(3):
        queue.add(request(due=9.0), now=0, busy_until=None)
    assert len(next_batch(queue, 0)) == 1
    queue.pace.took(ONE, 0.1)
    assert len(next_batch(queue, 0)) == 2


def test_a_call_runs_alone_and_in_turn() -> None:
    queue = Queue()
    first, call, last = request(), Call(lambda: None, None), request()
    for job in (first, call, last):
        queue.add(job, now=0, busy_until=None)
    assert next_batch(queue, 0) == [first]
    assert queue.pop() is call
    assert next_batch(queue, 0) == [last]


@pytest.mark.parametrize("actual", [0.6, 1.0, 1.5])
def test_joining_answers_at_least_as_many_in_time_as_one_by_one(actual: float) -> None:
    """Twenty callers and a deadline that six scorings fit into, also where the pace is misjudged:
    a batch gains nothing here, and must cost nothing."""

    def callers(most: int) -> list[Request]:
        return [request(due=6.5, max_batch=most) for _ in range(20)]

    alone, joined = (serve(callers(most), 1.0, actual=actual) for most in (1, 256))
    assert joined >= alone > 0


# --- too late ------------------------------------------------------------------------------------


def test_what_cannot_end_in_time_is_refused_on_arrival() -> None:
    queue = at_pace(1.0)
    for _ in range(3):
        queue.add(request(due=9.0, max_batch=1), now=0, busy_until=2.0)
    with pytest.raises(DeadlineError, match=r"takes about 4 s, of which 3\.5 s are left"):
        queue.add(request(due=5.5, max_batch=1), now=0, busy_until=2.0)
    assert len(queue) == 3


def test_a_late_caller_costs_nobody_else_the_score() -> None:
    queue = at_pace(1.0)
    late, urgent, patient = (request(due=due, max_batch=1) for due in (3.0, 6.0, None))
    for each in (late, urgent, patient):
        queue.add(each, now=0, busy_until=0)
    [(shed, error)] = queue.shed(now=2.5)
    assert shed is late
    assert "scoring would end after the deadline" in str(error)
    assert queue.shed(now=2.5) == []
    assert [queue.pop(), queue.pop()] == [urgent, patient]


def test_what_is_past_its_deadline_is_not_scored_whatever_it_is() -> None:
    queue = Queue()
    jobs: list[Request | Call] = [request(due=1.0), Call(lambda: None, 1.0), request(due=9.0)]
    for job in jobs:
        queue.add(job, now=0, busy_until=None)
    assert [job for job, _ in queue.shed(now=1.0)] == jobs[:2]


def test_who_finds_the_worker_idle_is_tried_whatever_the_pace_was() -> None:
    """One slow scoring, as of a machine that stood still, must not refuse everybody for ever."""
    queue = at_pace(100.0)
    lone = request(due=1.0)
    queue.add(lone, now=0, busy_until=None)
    assert queue.shed(now=0.5) == []
    assert queue.pop() is lone


def test_where_batches_gain_a_crowd_is_not_refused_by_the_pace_of_single_answers() -> None:
    queue = at_pace(0.1)
    for _ in range(200):
        queue.add(request(due=1.0), now=0, busy_until=0)
    assert queue.shed(now=0.0) == []


# --- too much ------------------------------------------------------------------------------------


def test_more_than_may_wait_is_refused() -> None:
    queue = Queue()
    for _ in range(3):
        queue.add(request(max_waiting=3), now=0, busy_until=None)
    with pytest.raises(OverloadedError, match="3 answers wait to be scored, and at most 3 may"):
        queue.add(request(max_waiting=3), now=0, busy_until=None)
    queue.pop()
    queue.add(request(max_waiting=3), now=0, busy_until=None)


def test_one_request_alone_may_be_larger_than_what_may_wait() -> None:
    queue = Queue()
    queue.add(request(50, max_waiting=3), now=0, busy_until=None)
    with pytest.raises(OverloadedError):
        queue.add(request(max_waiting=3), now=0, busy_until=None)


def test_what_is_taken_out_makes_room() -> None:
    queue = Queue()
    gone = request(due=5.0, max_waiting=1)
    queue.add(gone, now=0, busy_until=0)
    queue.remove(gone)
    queue.remove(gone)
    assert len(queue) == 0
    queue.add(request(max_waiting=1), now=0, busy_until=0)


# --- how long it takes ---------------------------------------------------------------------------


def test_the_pace_is_that_of_the_latest_batches_and_one_outlier_does_not_count() -> None:
    pace = Pace()
    assert (pace.known, pace.seconds(1000)) == (False, 0)
    for seconds in (1.0, 1.0, 50.0):
        pace.took(ONE, seconds)
    assert pace.seconds(3 * ONE) == pytest.approx(3)
    for _ in range(8):
        pace.took(ONE, 0.1)
    assert pace.seconds(ONE) == pytest.approx(0.1)


def test_all_that_is_read_weighs_up_to_what_is_cut_off() -> None:
    def weight(**parts: object) -> int:
        qa = QuestionAnswer.model_validate({"question": "q", "answer": "a", **parts})
        return weigh([qa], 1000)

    turn = Message(role="user", content="x" * 50)
    assert weight(answer="a" * 51) == weight(context="x" * 50) == weight() + 50
    assert weight(messages=(turn,)) == weight() + 50
    assert weight(answer="a" * 9999) == 1000
