"""Many callers, one guarded model: every record belongs to its own answer, none lost, none doubled.

Each answer carries a nonce, from which the estimator derives its score.
"""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ct_guard.estimators import Estimator
from ct_guard.testing import FakeBackend
from ct_guard_langchain import GuardedChatModel, get_confidence
from tests.rule_model import RuleChatModel


def nonce_logit(answer: str) -> float:
    return int(answer.rpartition("-")[2]) / 1000


@pytest.fixture
def counting(make_estimator: Any) -> Estimator:
    return make_estimator(backend=FakeBackend(logit=nonce_logit))


def checked(question: str, answer: Any) -> str:
    """The nonce of an answer that is the question's own, and has the record of this answer."""
    record = get_confidence(answer)
    assert answer.content == question
    assert (record["status"], record["action"], record["attempts"]) == ("ok", "pass", 1)
    assert record["logit"] == pytest.approx(nonce_logit(question), abs=1e-5)
    return question


@pytest.mark.slow
def test_100_threads_with_50_calls_each(counting):
    model = GuardedChatModel(inner=RuleChatModel(), estimator=counting, policy="annotate")

    def ask(thread: int) -> list[str]:
        questions = [f"nonce-{50 * thread + call}" for call in range(50)]
        return [checked(question, model.invoke(question)) for question in questions]

    with ThreadPoolExecutor(100) as pool:
        told = Counter(nonce for nonces in pool.map(ask, range(100)) for nonce in nonces)
    assert len(told) == 5000
    assert set(told.values()) == {1}
    assert sum(counting.backend.calls) == 5000


@pytest.mark.slow
async def test_1000_concurrent_calls(counting):
    model = GuardedChatModel(inner=RuleChatModel(), estimator=counting, policy="annotate")
    questions = [f"nonce-{number}" for number in range(1000)]
    answers = await asyncio.gather(*map(model.ainvoke, questions))
    assert [checked(*each) for each in zip(questions, answers, strict=True)] == questions
    assert sum(counting.backend.calls) == 1000
    assert len(counting.backend.calls) < 200


async def test_concurrent_calls_that_are_retried_and_escalated(make_estimator):
    """Below 0.5 the first answer is retried, then escalated: the stronger model adds 1000."""

    class Large(RuleChatModel):
        def _answer(self, *args: Any) -> Any:
            text, calls = super()._answer(*args)
            head, _, nonce = text.rpartition("-")
            return f"{head}-{int(nonce) + 1000}", calls

    estimator = make_estimator(logit=lambda answer: nonce_logit(answer) - 0.5)
    policy = {
        "kind": "retry",
        "threshold": 0.5,
        "otherwise": {"kind": "escalate", "threshold": 0.5, "otherwise": "pass"},
    }
    model = GuardedChatModel(
        inner=RuleChatModel(), estimator=estimator, policy=policy, models=[Large()]
    )
    answers = await asyncio.gather(*(model.ainvoke(f"nonce-{n}") for n in range(0, 1000, 5)))
    for number, answer in zip(range(0, 1000, 5), answers, strict=True):
        record = get_confidence(answer)
        low = number < 500
        assert answer.content == f"nonce-{number + 1000 * low}"
        assert (record["model_index"], record["attempts"]) == ((1, 3) if low else (0, 1))
        assert record["logit"] == pytest.approx(nonce_logit(answer.content) - 0.5, abs=1e-5)
