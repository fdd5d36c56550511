"""The cache of scores: what a score follows from is its key, and only good ones are kept."""

import asyncio
import multiprocessing
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ct_guard.errors import InputError, UsageError
from ct_guard.guard import Guard, ScoreCache
from ct_guard.guard.cache import key_of
from ct_guard.policies import Threshold
from ct_guard.records import Confidence, Message, QuestionAnswer
from ct_guard.testing import FakeBackend
from tests.known_confidence import by_word, estimator_on

QA = QuestionAnswer(question="q", answer="sure")
TURN = Message(role="user", content="q")


def guard(cache: ScoreCache | None, **about: Any) -> tuple[Guard, FakeBackend]:
    backend = FakeBackend(logit=by_word)
    return Guard(estimator_on(backend, **about), 0.5, cache=cache), backend


def test_an_answer_that_is_known_is_not_scored_again() -> None:
    made, backend = guard(ScoreCache())
    first = made.assess(QA)
    assert made.assess(QA.model_copy(update={"id": "other"})) == first
    assert asyncio.run(made.aassess(QA)) == first
    assert backend.calls == [1]
    other = QuestionAnswer(question="q", answer="unsure")
    assert [one.p == first.p for one in made.score([other, QA, other])] == [False, True, False]
    assert backend.calls == [1, 2]
    assert made.metrics()["cached"] == 3
    assert made.metrics()["cache"] == {"in_memory": 2}


@pytest.mark.parametrize(
    "other",
    [
        {"question": "r"},
        {"answer": "sure."},
        {"context": "c"},
        {"messages": (TURN,)},
        {"model": "m"},
        {"group": "tool_call"},
        {"logprobs": (-0.5,)},
        {"columns": {"samples": ["sure"]}},
    ],
)
def test_whatever_a_score_may_follow_from_is_in_its_key(other: dict[str, Any]) -> None:
    estimator = estimator_on(FakeBackend())
    assert key_of(estimator, QA) != key_of(estimator, QA.model_copy(update=other))
    assert key_of(estimator, QA) == key_of(estimator, QA.model_copy(update={"id": "other"}))


def test_another_estimator_or_another_way_to_run_it_is_another_key() -> None:
    one = estimator_on(FakeBackend())
    keys = {key_of(one, QA)}
    keys.add(key_of(estimator_on(FakeBackend(), name="other"), QA))
    for name, value in (("fingerprint", "beef"), ("refusals", False), ("readings", True)):
        changed = estimator_on(FakeBackend())
        setattr(changed, name, value)
        keys.add(key_of(changed, QA))
    backend = FakeBackend()
    backend.format = "bfloat16"
    keys.add(key_of(estimator_on(backend), QA))
    assert len(keys) == 6


def test_the_least_recently_used_goes_first() -> None:
    cache = ScoreCache(2)
    scores = {key: Confidence(p=0.5, logit=0.0) for key in (b"a", b"b", b"c")}
    cache.keep([(b"a", scores[b"a"]), (b"b", scores[b"b"])])
    assert cache.find([b"a"]) == [scores[b"a"]]
    cache.keep([(b"c", scores[b"c"])])
    assert cache.find([b"a", b"b", b"c"]) == [scores[b"a"], None, scores[b"c"]]


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    cache = ScoreCache(path=tmp_path / "scores.sqlite")
    cache.keep([(b"a", Confidence(p=None, status="error", error="broken"))])
    assert cache.find([b"a"]) == [None]
    assert len(cache) == 0


def test_a_file_outlives_its_process_and_holds_no_text(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    secret = QuestionAnswer(question="who is Kunigunde?", answer="sure, Kunigunde")
    cache = ScoreCache(path=path)
    first = guard(cache)[0].score([secret])
    cache.close()
    made, backend = guard(ScoreCache(path=path))
    assert made.score([secret]) == first
    assert backend.calls == []
    assert b"Kunigunde" not in b"".join(one.read_bytes() for one in tmp_path.iterdir())


def _kept(path: Path, cache: ScoreCache, answers: Any) -> None:
    answers.put([one is not None for one in cache.find([b"a"])])
    cache.keep([(b"b", Confidence(p=0.25, logit=-1.0))])


def test_a_forked_process_goes_on_with_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    cache = ScoreCache(1, path=path)
    cache.keep([(b"a", Confidence(p=0.75, logit=1.0)), (b"x", Confidence(p=0.5, logit=0.0))])
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_kept, args=(path, cache, answers))
    child.start()
    assert answers.get(timeout=20) == [True]
    child.join(20)
    assert cache.find([b"b"]) == [Confidence(p=0.25, logit=-1.0)]
    assert cache.state()["file_failures"] == 0


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ct_guard.guard import cache as module

    monkeypatch.setattr(module, "_PRUNED_EVERY", 4)
    cache = ScoreCache(1, path=tmp_path / "scores.sqlite", most=3)
    for n in range(8):
        cache.keep([(bytes([n]), Confidence(p=0.5, logit=0.0))])
    assert [one is not None for one in cache.find([bytes([n]) for n in range(8)])] == [
        False, False, False, False, False, True, True, True
    ]  # fmt: skip


def test_a_file_that_breaks_later_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    cache = ScoreCache(1, path=path)
    other = sqlite3.connect(path)
    with other:
        other.execute("DROP TABLE scores_1")
    made, _ = guard(cache)
    assert made.assess(QA).p == pytest.approx(0.95, abs=0.01)
    assert made.metrics()["cache"] == {"in_memory": 1, "file_failures": 2}


def test_what_is_no_cache_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database, but long enough to be looked into as if it were one" * 20)
    with pytest.raises(InputError, match=r"notes\.txt: cannot be used as a cache"):
        ScoreCache(path=path)
    with pytest.raises(UsageError, match="at least one score"):
        ScoreCache(0)


def test_a_guard_under_another_policy_shares_cache_and_counts() -> None:
    made, backend = guard(ScoreCache())
    made.assess(QA)
    strict = made.under(Threshold(threshold=0.99))
    assert strict.assess(QA).action == "abstain"
    assert backend.calls == [1]
    assert made.metrics()["actions"] == {"pass": 1, "abstain": 1}


def test_an_estimator_that_reads_answers_together_takes_no_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ct_guard.estimators import Estimator

    monkeypatch.setattr(Estimator, "reads_together", True)
    with pytest.raises(UsageError, match="it takes no cache"):
        guard(ScoreCache())
