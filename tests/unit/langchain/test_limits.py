"""Deadline, window, batch and queue: every surface hands them to its guard."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.output_parsers import StrOutputParser

from ct_guard.errors import BackendError, DeadlineError, OverloadedError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard
from ct_guard.records import QuestionAnswer
from ct_guard.testing import FakeBackend
from ct_guard_langchain import (
    ConfidenceCallbackHandler,
    ConfidenceGuard,
    ConfidenceMiddleware,
    GuardedChatModel,
    wrap,
)
from ct_guard_langchain.chain import GuardedChain
from tests.known_confidence import estimator_on
from tests.rule_model import RuleChatModel

LIMITS: dict[str, Any] = {"deadline": 9.0, "window": 0.1, "max_batch": 3, "max_waiting": 5}


def limits_of(guard: Guard) -> dict[str, Any]:
    return {name: getattr(guard, name) for name in LIMITS}


@pytest.fixture
def estimator() -> Estimator:
    return estimator_on(FakeBackend())


def chat_model(estimator: Estimator, **limits: Any) -> Guard:
    return GuardedChatModel(inner=RuleChatModel(), estimator=estimator, **limits)._guard


def wrapped_twice(estimator: Estimator, **limits: Any) -> Guard:
    once: GuardedChatModel = wrap(RuleChatModel(), estimator=estimator, **limits)
    return wrap(once, policy=0.9)._guard


def middleware(estimator: Estimator, **limits: Any) -> Guard:
    return ConfidenceMiddleware(estimator, **limits).guard


def callbacks(estimator: Estimator, **limits: Any) -> Guard:
    return ConfidenceCallbackHandler(estimator, **limits)._guards.guard


def runnable(estimator: Estimator, **limits: Any) -> Guard:
    return ConfidenceGuard(estimator, **limits).guard


def with_a_policy_of_the_call(estimator: Estimator, **limits: Any) -> Guard:
    guard = ConfidenceGuard(estimator, **limits)
    return guard.guarding.guard_for({"configurable": {"ct_guard_policy": 0.9}})


def chain(estimator: Estimator, **limits: Any) -> Guard:
    made = wrap(RuleChatModel() | StrOutputParser(), estimator=estimator, **limits)
    assert isinstance(made, GuardedChain)
    return made.guarding.guard


def chain_wrapped_twice(estimator: Estimator, **limits: Any) -> Guard:
    once = wrap(RuleChatModel() | StrOutputParser(), estimator=estimator, **limits)
    made = wrap(once, policy=0.9)
    assert isinstance(made, GuardedChain)
    return made.guarding.guard


@pytest.mark.parametrize(
    "surface",
    [
        chat_model,
        wrapped_twice,
        middleware,
        callbacks,
        runnable,
        with_a_policy_of_the_call,
        chain,
        chain_wrapped_twice,
    ],
)
def test_a_surface_hands_limits_to_its_guard(
    surface: Callable[..., Guard], estimator: Estimator
) -> None:
    assert limits_of(surface(estimator, **LIMITS)) == LIMITS
    assert limits_of(surface(estimator)) == limits_of(Guard(estimator))


class Hangs(FakeBackend):
    """Until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go, self.reached = threading.Event(), threading.Event()

    def score(self, *args: Any, **kwargs: Any) -> Any:
        self.reached.set()
        self.let_go.wait(60)
        return super().score(*args, **kwargs)


@pytest.fixture
def hangs() -> Iterator[Hangs]:
    made = Hangs()
    yield made
    made.let_go.set()


PAIRS: list[Any] = [{"input": "?", "output": str(number)} for number in range(30)]


@pytest.mark.parametrize("way", ["batch", "abatch"])
async def test_a_deadline_bounds_a_whole_batch_that_may_raise(hangs: Hangs, way: str) -> None:
    guard = ConfidenceGuard(estimator_on(hangs), on_error="raise", deadline=0.1)
    if way == "batch":
        made: list[Any] = guard.batch(PAIRS, return_exceptions=True)
    else:
        made = await guard.abatch(PAIRS, return_exceptions=True)
    assert {type(each) for each in made} == {DeadlineError}
    assert guard.guard.metrics()["calls"] == 1


def test_what_finds_a_full_queue_is_not_asked_for_again_one_by_one(hangs: Hangs) -> None:
    guard = ConfidenceGuard(estimator_on(hangs), on_error="raise", max_waiting=2)
    run = [threading.Thread(target=guard.guard.score, args=([row],)) for row in rows("one", "two")]
    run[0].start()
    hangs.reached.wait(30)
    run[1].start()
    while not guard.guard.metrics()["waiting"]:
        time.sleep(0.001)
    made: list[Any] = guard.batch(PAIRS, return_exceptions=True)
    assert {type(each) for each in made} == {OverloadedError}
    hangs.let_go.set()
    for each in run:
        each.join(30)


def test_where_one_answer_fails_alone_the_others_of_its_batch_have_their_scores() -> None:
    def logit(answer: str) -> float:
        if "bad" in answer:
            raise BackendError("a bad row")
        return 3.0

    guard = ConfidenceGuard(estimator_on(FakeBackend(logit=logit)), on_error="raise")
    pairs: list[Any] = [{"input": "?", "output": text} for text in ("good", "bad", "good")]
    made: list[Any] = guard.batch(pairs, return_exceptions=True)
    assert [type(each) for each in made] == [dict, BackendError, dict]


def rows(*answers: str) -> list[QuestionAnswer]:
    return [QuestionAnswer(question="?", answer=answer) for answer in answers]
