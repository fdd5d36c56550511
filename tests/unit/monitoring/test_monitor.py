"""A monitor beside a guard: sees every confidence, and disturbs no request."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ct_guard import Alarm, Guard, Monitor, QuestionAnswer, load_estimator
from ct_guard.certificates import Certificate, Sample
from ct_guard.errors import InputError, LowConfidenceError, UsageError
from ct_guard.monitoring import Outcome, Watch, book_of
from ct_guard.risk import binned
from ct_guard.store import BaseModelRef, Manifest, load_manifest, save_estimator
from ct_guard.testing import FakeBackend

CERTIFICATE = Certificate(
    alpha=0.1,
    delta=0.1,
    threshold=0.5,
    n=1000,
    answered=800,
    errors=60,
    sample=Sample(scores=binned([0.9] * 1000), statuses={"ok": 1000}),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    manifest = Manifest(
        name="mine",
        method="zero-shot",
        base=BaseModelRef(id="fake"),
        style="chat_turn",
        certificates=(CERTIFICATE,),
    )
    save_estimator(tmp_path / "mine", manifest)
    return tmp_path / "mine"


@pytest.fixture
def make(folder: Path) -> Iterator[Callable[..., Guard]]:
    backend = FakeBackend(logit=lambda answer: -3.0 if "unsure" in answer else 2.2)
    made: list[Guard] = []

    def guard(monitor: Monitor | None = None, policy: Any = None) -> Guard:
        made.append(Guard(load_estimator(folder, backend=backend), policy, monitor=monitor))
        return made[-1]

    yield guard
    for one in made:
        one.close()


def qa(id: str | None, answer: str = "42") -> QuestionAnswer:
    return QuestionAnswer(id=id, question=f"What is {id}?", answer=answer)


def recorded(monitor: Monitor, n: int, *, wrong: int) -> None:
    for at in range(n):
        monitor.record_outcome(str(at), at >= wrong)


def test_every_confidence_is_seen_by_whatever_call(
    make: Callable[..., Guard], folder: Path
) -> None:
    monitor = Monitor(folder)
    guard = make(monitor)
    guard.assess(qa("1"))
    guard.score([qa("2"), qa("3", " ")])
    asyncio.run(guard.aassess_batch([qa("4"), qa("5")]))
    guard.under(guard.policy).assess(qa(None))
    guard.assess(qa("call").model_copy(update={"group": "tool_call"}))  # of another kind
    assert monitor.flush(10)
    assert monitor.counters == {"seen": 6, "noted": 6}
    assert monitor.standing().scored == 5
    monitor.record_outcome("4", True)
    with pytest.raises(InputError, match="no answer '3' with a probability"):
        monitor.record_outcome("3", False)


def test_outcomes_void_the_certificate_and_nothing_passes_any_more(
    make: Callable[..., Guard], folder: Path
) -> None:
    told: list[Alarm] = []
    monitor = Monitor(folder, on_alarm=told.append)
    guard = make(monitor)
    assert {found.action for found in guard.assess_batch([qa(str(n)) for n in range(30)])} == {
        "pass"
    }
    recorded(monitor, 30, wrong=20)
    assert [alarm.kind for alarm in told] == ["risk"]
    assert monitor.counters["alarms_risk"] == 1
    found = guard.assess(qa("new"))
    assert found.action == "abstain"
    assert "is void" in found.decision.reason
    assert found.p is not None
    assert found.p > 0.5


@pytest.mark.slow
def test_a_guard_sees_what_another_process_made_void(
    make: Callable[..., Guard], folder: Path
) -> None:
    monitor, guard = Monitor(folder), make()
    make(monitor).assess_batch([qa(str(n)) for n in range(30)])
    assert guard.assess(qa("new")).action == "pass"
    monitor.flush(10)
    script = (
        "from ct_guard import OutcomesConfig, outcomes; import sys;"
        "outcomes(sys.argv[1], OutcomesConfig(estimator=sys.argv[2]))"
    )
    rows = folder.parent / "outcomes.csv"
    rows.write_text("id,correct\n" + "".join(f"{n},{n >= 20}\n" for n in range(30)))
    subprocess.run([sys.executable, "-c", script, str(rows), str(folder)], check=True)
    guard._validity._next = 0.0  # the second that it waits between two looks is over
    assert guard.assess(qa("new")).action == "abstain"


@pytest.mark.parametrize(
    ("on_void", "action"), [("abstain", "abstain"), ("escalate", "escalate"), ("human", "human")]
)
def test_a_void_certificate_is_loaded_as_the_policy_says(
    make: Callable[..., Guard], folder: Path, on_void: str, action: str
) -> None:
    make(monitor := Monitor(folder)).assess_batch([qa(str(n)) for n in range(30)])
    recorded(monitor, 30, wrong=20)
    guard = make(policy={"kind": "certified", "on_void": on_void})
    assert guard.assess(qa("new")).action == action


def test_a_policy_that_raises_does_so_at_run_time_too(
    make: Callable[..., Guard], folder: Path
) -> None:
    monitor = Monitor(folder)
    guard = make(monitor, {"kind": "certified", "on_void": "raise"})
    guard.assess_batch([qa(str(n)) for n in range(30)])
    recorded(monitor, 30, wrong=20)
    with pytest.raises(LowConfidenceError, match="is void"):
        guard.assess(qa("new"))


def test_a_broken_book_fails_no_request(
    make: Callable[..., Guard], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = Monitor(folder)
    (folder / "monitor.sqlite").write_bytes(b"broken" * 1000)
    guard = make(monitor)
    assert guard.assess(qa("1")).action == "pass"
    monitor.flush(10)
    assert monitor.counters == {"seen": 1, "failed": 1}
    assert "could not note 1 answers" in caplog.text
    with pytest.raises(InputError, match="is no book"):
        monitor.record_outcome("1", True)


def test_what_it_cannot_keep_up_with_is_dropped_and_counted(
    make: Callable[..., Guard], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, reached = threading.Event(), threading.Event()
    note = Watch.note

    def slowly(self: Watch, *given: Any) -> object:
        reached.set()
        gate.wait(10)
        return note(self, *given)

    monkeypatch.setattr(Watch, "note", slowly)
    monitor = Monitor(folder, max_waiting=3)
    guard = make(monitor)
    guard.assess(qa("0"))
    reached.wait(10)
    for n in range(1, 6):
        assert guard.assess(qa(str(n))).action == "pass"
    assert not monitor.flush(0.01)
    gate.set()
    assert monitor.flush(10)
    assert monitor.counters == {"seen": 4, "dropped": 2, "noted": 4}


def test_a_closed_monitor_sees_no_more(make: Callable[..., Guard], folder: Path) -> None:
    monitor = Monitor(folder)
    guard = make(monitor)
    guard.assess(qa("1"))
    monitor.close()
    assert guard.assess(qa("2")).action == "pass"
    assert monitor.counters == {"seen": 1, "noted": 1, "dropped": 1}


def test_a_guard_takes_the_monitor_of_its_own_estimator(
    make: Callable[..., Guard], folder: Path, tmp_path: Path
) -> None:
    other = Manifest(name="other", method="likelihood", base=BaseModelRef(id="fake"))
    save_estimator(tmp_path / "other", other)
    with pytest.raises(UsageError, match="this monitor is of other"):
        make(Monitor(tmp_path / "other"))
    guard = make()
    guard.monitor = Monitor(folder)
    guard.assess(qa("1"))
    assert guard.monitor.flush(10)
    assert guard.monitor.counters["noted"] == 1


@pytest.mark.parametrize(("id", "correct"), [("", True), (7, True), ("7", "yes"), ("7", 1)])
def test_an_outcome_is_an_id_and_a_truth(folder: Path, id: object, correct: object) -> None:
    with pytest.raises(UsageError, match="an outcome is an id and True or False"):
        Monitor(folder).record_outcome(id, correct)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_process_goes_on_with_a_thread_of_its_own(folder: Path) -> None:
    """In a process of its own: the test runner's is full of threads."""
    script = (
        "import os, sys\n"
        "from ct_guard import Confidence, Monitor, QuestionAnswer\n"
        "monitor = Monitor(sys.argv[1])\n"
        "def see(id):\n"
        "    monitor.see([QuestionAnswer(id=id, question=id, answer='a')], [Confidence(p=0.9)])\n"
        "    assert monitor.flush(10)\n"
        "see('parent')\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    see('child')\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "monitor.record_outcome('child', True)\n"
    )
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, str(folder)]
    subprocess.run(command, check=True, timeout=60)
    watch = Watch(folder, load_manifest(folder), book_of(folder, None))
    noted, _ = watch.add_outcomes([Outcome("parent", True, "here"), Outcome("child", True, "here")])
    assert (noted.new, noted.known) == (1, 1)
