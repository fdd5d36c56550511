"""Deadline, window, batch and queue: every surface hands them to its guard."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.output_parsers import StrOutputParser

from ct_guard.estimators import Estimator
from ct_guard.guard import Guard
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
