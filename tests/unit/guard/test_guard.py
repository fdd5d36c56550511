"""The guard: assessments in order, on time, from any thread and any event loop."""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ct_guard.backends import Adapter, GenerationSettings, Item, ScoreBatch, Want
from ct_guard.certificates import Certificate
from ct_guard.errors import BackendError, DeadlineError, PolicyError, UsageError
from ct_guard.estimators import Estimator, load_estimator
from ct_guard.guard import Guard
from ct_guard.policies import Annotate, Certified, Resample, Situation, Threshold, ToolGate
from ct_guard.query import Query, render_context
from ct_guard.records import QuestionAnswer
from ct_guard.store import BaseModelRef, Manifest, save_estimator
from ct_guard.testing import FakeBackend
from tests.known_confidence import by_word_and_agreement


class Gated(FakeBackend):
    """Its logit is the number that the answer ends in; `gate` holds it up, "bad" breaks it."""

    def __init__(self) -> None:
        super().__init__(logit=lambda text: float(text.split()[-1]))
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()
        self.checked = False

    def score(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> ScoreBatch:
        if not self.checked:  # the start-up check's answers end in words
            return FakeBackend().score(items, query, adapter, want)
        self.reached.set()
        self.gate.wait(10)
        if any("bad" in self.encoder.decode(item.answer) for item in items):
            raise BackendError("broken")
        return super().score(items, query, adapter, want)


@pytest.fixture
def backend() -> Iterator[Gated]:
    made = Gated()
    yield made
    made.gate.set()


@pytest.fixture
def estimator(tmp_path: Path, backend: Gated) -> Estimator:
    save_estimator(
        tmp_path / "e",
        Manifest(name="e", method="zero-shot", base=BaseModelRef(id="fake"), style="chat_turn"),
    )
    made = load_estimator(tmp_path / "e", backend=backend)
    backend.checked = True
    return made


Make = Callable[..., Guard]


@pytest.fixture
def make(estimator: Estimator, backend: Gated) -> Iterator[Make]:
    made: list[Guard] = []

    def make_(policy: Any = 0.5, **options: Any) -> Guard:
        made.append(Guard(estimator, policy, **options))
        return made[-1]

    yield make_
    backend.gate.set()
    for guard in made:
        guard.close()


def qa(logit: object) -> QuestionAnswer:
    return QuestionAnswer(question="q", answer=f"it is {logit}")


# --- one call ------------------------------------------------------------------------------------


def test_an_assessment_is_a_confidence_and_a_decision(make: Make) -> None:
    found = make(0.7).assess(qa(2))
    assert found.p == pytest.approx(0.8808, abs=1e-4)
    assert found.action == "pass"
    assert found.decision.policy == "threshold 0.7"
    assert make(0.9).assess(qa(2)).action == "abstain"


def test_a_batch_keeps_its_order_whatever_its_rows_are(make: Make, backend: Gated) -> None:
    rows = [qa(3), QuestionAnswer(question="q", answer=" "), qa(-1), qa(2)]
    found = make().assess_batch(rows)
    assert [a.confidence.logit for a in found] == [3, None, -1, 2]
    assert [a.action for a in found] == ["pass", "abstain", "abstain", "pass"]
    assert found[1].confidence.status == "empty"
    assert backend.calls == [3]


def test_nothing_is_nothing(make: Make, backend: Gated) -> None:
    assert make().assess_batch([]) == []
    assert asyncio.run(make().aassess_batch([])) == []
    assert make().score([]) == asyncio.run(make().ascore([])) == []
    assert backend.calls == []


def test_an_answer_is_scored_once_and_decided_on_wherever_it_stands(
    make: Make, backend: Gated
) -> None:
    guard = make({"kind": "escalate", "threshold": 0.5, "otherwise": "human"})
    [scored] = guard.score([qa(-1)])
    assert scored == asyncio.run(guard.ascore([qa(-1)]))[0]
    assert backend.calls == [1, 1]
    assert guard.decide(scored, Situation()).action == "escalate"
    assert guard.decide(scored, Situation(models_left=0)).action == "human"
    assert backend.calls == [1, 1]
    last = Situation(models_left=0)
    assert guard.assess(qa(-1), situation=last).decision == guard.decide(scored, last)


def test_the_situation_reaches_the_policy(make: Make) -> None:
    guard = make({"kind": "escalate", "threshold": 0.5, "otherwise": "human"})
    assert guard.assess(qa(-1)).action == "escalate"
    assert guard.assess(qa(-1), situation=Situation(models_left=0)).action == "human"


def test_a_generated_answer_is_assessed_from_its_cache(
    make: Make, estimator: Estimator, backend: Gated
) -> None:
    row = qa(2)
    context, _ = render_context(row.conversation(), "chat_turn", backend.encoder)
    kv = FakeBackend(reply=row.answer).generate([context], GenerationSettings(max_tokens=50))[0].kv
    assert kv is not None
    assert make().assess_generated(row, kv) == make().assess(row)


def test_without_a_policy_the_certified_threshold_counts(estimator: Estimator) -> None:
    assert Guard(estimator).policy == Annotate()
    certificate = Certificate(alpha=0.1, delta=0.1, threshold=0.6, n=9, answered=4, errors=0)
    estimator.manifest = estimator.manifest.model_copy(update={"certificates": (certificate,)})
    assert Guard(estimator).policy == Certified(certificate=certificate)
    assert Guard(estimator, 0.7).policy == Threshold(threshold=0.7)


def test_an_unknown_on_error_is_refused(estimator: Estimator) -> None:
    with pytest.raises(UsageError, match="unknown on_error 'ignore': there are pass, block, raise"):
        Guard(estimator, on_error="ignore")  # type: ignore[arg-type]


# --- joining -------------------------------------------------------------------------------------


async def test_requests_of_one_moment_are_one_forward(make: Make, backend: Gated) -> None:
    guard = make(window=0.2)
    found = await asyncio.gather(*(guard.aassess(qa(n)) for n in range(8)))
    assert [a.confidence.logit for a in found] == list(range(8))
    assert backend.calls == [8]


async def test_an_error_in_a_joined_batch_hits_only_the_guilty(make: Make) -> None:
    guard = make(window=0.2)
    found = await asyncio.gather(*(guard.aassess(qa(x)) for x in (1, "bad", 3)))
    assert [a.confidence.status for a in found] == ["ok", "error", "ok"]
    assert [a.action for a in found] == ["pass", "abstain", "pass"]
    assert found[1].confidence.error == "broken"


async def test_guards_of_one_estimator_share_its_thread_and_its_batches(
    make: Make, backend: Gated
) -> None:
    guards = [make(policy, window=0.2) for policy in (0.3, 0.5, 0.9)]
    found = await asyncio.gather(*(guard.aassess(qa(0.2)) for guard in guards))
    assert [a.action for a in found] == ["pass", "pass", "abstain"]
    assert backend.calls == [3]
    assert len({guard.run(threading.get_ident) for guard in guards}) == 1


def test_a_guard_that_is_gone_leaves_no_thread(estimator: Estimator, backend: Gated) -> None:
    threads = threading.active_count()
    for _ in range(20):
        Guard(estimator, 0.5).assess(qa(1))
    assert threading.active_count() <= threads + 1


def test_many_threads_each_get_their_own_answers(make: Make) -> None:
    guard = make(window=0.001)
    wrong: list[object] = []

    def run(thread: int) -> None:
        for call in range(25):
            nonce = thread * 1000 + call
            logit = guard.assess(qa(nonce)).confidence.logit
            if logit != nonce:
                wrong.append((nonce, logit))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


# --- errors and deadlines ------------------------------------------------------------------------


@pytest.mark.parametrize(("on_error", "action"), [("pass", "pass"), ("block", "abstain")])
def test_a_failing_engine_goes_by_on_error(make: Make, on_error: str, action: str) -> None:
    found = make(on_error=on_error).assess(qa("bad"))
    assert (found.action, found.p, found.confidence.status) == (action, None, "error")
    assert found.confidence.error == "broken"


@pytest.mark.parametrize(
    ("policy", "action"), [(0.5, "abstain"), (ToolGate(), "abstain"), ("annotate", "pass")]
)
def test_by_default_only_annotate_lets_pass_what_could_not_be_scored(
    make: Make, policy: Any, action: str
) -> None:
    """And a guard that differs in its policy goes by that one's default."""
    guard = make(policy)
    assert guard.assess(qa("bad")).action == action
    assert guard.under(Threshold(threshold=0.5)).assess(qa("bad")).action == "abstain"
    assert guard.under(Annotate()).assess(qa("bad")).action == "pass"
    strict = make("annotate", on_error="block").under(Annotate())
    assert strict.assess(qa("bad")).action == "abstain"


def test_a_failing_engine_may_raise(make: Make) -> None:
    with pytest.raises(BackendError, match="broken"):
        make(on_error="raise").assess(qa("bad"))


@pytest.mark.parametrize(("on_error", "action"), [("pass", "pass"), ("block", "abstain")])
def test_a_late_answer_goes_by_on_error(
    make: Make, backend: Gated, on_error: str, action: str
) -> None:
    guard = make(on_error=on_error, deadline=0.05)
    backend.gate.clear()
    for found in (guard.assess(qa(1)), asyncio.run(guard.aassess(qa(1)))):
        assert (found.action, found.p, found.confidence.status) == (action, None, "error")
        assert found.confidence.error == "scoring took longer than the deadline of 0.05 s"
    backend.gate.set()


def test_a_late_answer_may_raise(make: Make, backend: Gated) -> None:
    guard = make(on_error="raise", deadline=0.05)
    backend.gate.clear()
    with pytest.raises(DeadlineError, match=r"0\.05 s"):
        guard.assess(qa(1))
    with pytest.raises(TimeoutError):
        asyncio.run(guard.aassess(qa(1)))
    backend.gate.set()


@pytest.mark.parametrize("call", ["assess", "aassess"])
def test_what_nobody_waits_for_any_more_is_not_scored(
    make: Make, backend: Gated, call: str
) -> None:
    guard = make(deadline=0.1)
    backend.gate.clear()
    busy = threading.Thread(target=guard.assess, args=(qa(1),))
    busy.start()
    backend.reached.wait(10)
    if call == "assess":
        guard.assess(qa(2))
    else:
        asyncio.run(guard.aassess(qa(2)))
    backend.gate.set()
    busy.join(10)
    guard.run(lambda: None)
    assert backend.calls == [1]


def test_a_guard_works_on_after_late_answers(make: Make, backend: Gated) -> None:
    guard = make(deadline=2.0)
    backend.gate.clear()
    threading.Timer(0.05, backend.gate.set).start()
    assert guard.assess(qa(1)).confidence.logit == 1
    assert guard.assess(qa(2)).confidence.logit == 2


@pytest.mark.parametrize("call", ["assess", "aassess"])
def test_a_timeout_of_the_estimators_own_is_its_error(
    make: Make, monkeypatch: pytest.MonkeyPatch, estimator: Estimator, call: str
) -> None:
    def score(items: Sequence[QuestionAnswer]) -> None:
        raise TimeoutError("server did not answer\nsecond line")

    monkeypatch.setattr(estimator, "score", score)
    guard = make()
    found = guard.assess(qa(1)) if call == "assess" else asyncio.run(guard.aassess(qa(1)))
    assert found.confidence.error == r"TimeoutError('server did not answer\nsecond line')"


def test_a_window_is_a_time(estimator: Estimator) -> None:
    for window in (-1.0, float("nan")):
        with pytest.raises(UsageError, match="a window is a time in seconds, not"):
            Guard(estimator, window=window)


# --- event loops ---------------------------------------------------------------------------------


async def test_the_event_loop_runs_on_while_scoring(make: Make, backend: Gated) -> None:
    backend.gate.clear()
    waiting = asyncio.create_task(make().aassess(qa(1)))
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert not waiting.done()
    backend.gate.set()
    assert (await waiting).confidence.logit == 1


async def test_a_cancelled_call_is_not_scored(make: Make, backend: Gated) -> None:
    guard = make(window=0.0)
    backend.gate.clear()
    first = asyncio.create_task(guard.aassess(qa(1)))
    await asyncio.to_thread(backend.reached.wait, 10)
    second = asyncio.create_task(guard.aassess(qa(2)))
    third = asyncio.create_task(guard.aassess(qa(3)))
    await asyncio.sleep(0.01)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    backend.gate.set()
    assert (await first).confidence.logit == 1
    assert (await third).confidence.logit == 3
    assert sum(backend.calls) == 2


def test_a_loop_that_ended_first_is_no_error(
    make: Make, backend: Gated, caplog: pytest.LogCaptureFixture
) -> None:
    guard = make(deadline=0.05)
    backend.gate.clear()
    with caplog.at_level(logging.DEBUG, logger="concurrent.futures"):
        asyncio.run(guard.aassess(qa("bad")))
        backend.gate.set()
        guard.run(lambda: None)
    gc.collect()
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


# --- the end -------------------------------------------------------------------------------------


def test_run_uses_the_thread_that_owns_the_model(make: Make) -> None:
    guard = make()
    assert guard.run(threading.get_ident) != threading.get_ident()
    assert guard.run(threading.get_ident) == guard.run(threading.get_ident)


def test_closing_finishes_frees_and_refuses(estimator: Estimator, backend: Gated) -> None:
    guard = Guard(estimator, 0.5)
    backend.gate.clear()
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.append(guard.assess(qa(1))))
    asking.start()
    backend.reached.wait(10)
    closing = threading.Thread(target=guard.close)
    closing.start()
    time.sleep(0.02)
    backend.gate.set()
    closing.join(10)
    asking.join(10)
    assert found[0].confidence.logit == 1
    guard.close()
    with pytest.raises(UsageError, match="closed"):
        guard.assess(qa(1))
    with pytest.raises(UsageError, match="closed"):
        asyncio.run(guard.aassess(qa(1)))
    assert estimator.score([qa(1)])[0].status == "error"


# --- further answers ------------------------------------------------------------------------------

CHECKED = Resample(policy=Threshold(threshold=0.7))


def test_further_answers_need_an_estimator_that_weighs_whether_they_agree(
    estimator: Estimator,
) -> None:
    with pytest.raises(PolicyError) as error:
        Guard(estimator, CHECKED)
    assert str(error.value) == (
        f"{estimator.name} does not weigh whether further answers agree, which they are drawn for:"
        " fit that on graded rows of which some have a column 'samples', by 'ct-guard calibrate"
        f" scored.jsonl -e {estimator.name} --evidence agreement,model -o my-agreement'"
    )


def test_a_guard_that_nobody_draws_for_says_who_does() -> None:
    guard = Guard(by_word_and_agreement(), CHECKED)
    qa = QuestionAnswer(question="Where?", answer="fair")
    with pytest.raises(PolicyError, match=r"Guard.assess has no model to ask .* GuardedChatModel"):
        guard.assess(qa)
    made = guard.assess(qa, situation=Situation(models_left=0, drawn=False))
    assert (made.action, made.decision.samples) == ("pass", 3)


@pytest.mark.parametrize(
    ("samples", "p"), [([], 0.731), (["fair"] * 3, 0.982), (["Rome"] * 3, 0.119)]
)
def test_samples_of_a_row_are_evidence_of_its_answer(samples: list[str], p: float) -> None:
    estimator = by_word_and_agreement()
    qa = QuestionAnswer(question="Where?", answer="fair")
    row = estimator.with_samples(qa, samples) if samples else qa
    (made,) = Guard(estimator, "annotate").score([row])
    assert made.p == pytest.approx(p, abs=1e-3)
    assert made.evidence == {"agreement": "used" if samples else "missing", "logit": "used"}


def test_a_policy_that_only_draws_keeps_nothing_back() -> None:
    estimator = by_word_and_agreement()
    assert Guard(estimator, Resample(band=(0, 1), policy=Annotate())).on_error == "pass"
    assert Guard(estimator, CHECKED).on_error == "block"
