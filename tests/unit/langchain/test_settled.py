"""What a surface was made with stays in force: changed fields are refused, copies share the guard,
and nothing with a model in it is pickled."""

import copy
import pickle
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard, ScoreCache
from ct_guard_langchain import (
    ChatLocal,
    ConfidenceGuard,
    ConfidenceMiddleware,
    GuardedChatModel,
    wrap,
)

OTHERS: dict[str, Any] = {
    "policy": 0.99,
    "on_error": "raise",
    "estimator": "mini",
    "abstain_message": "No.",
    "keep_original": True,
    "redact": str.upper,
}
OTHER_LIMITS: dict[str, Any] = {
    "samples": 2,
    "deadline": 1e-9,
    "window": 1.0,
    "max_batch": 1,
    "max_waiting": 1,
    "monitor": None,
    "observers": (),
}


def guarded(estimator: Estimator) -> GuardedChatModel:
    inner = FakeListChatModel(responses=["perhaps"])
    return GuardedChatModel(inner=inner, estimator=estimator, policy=0.3)


@pytest.mark.parametrize(("name", "value"), [*OTHERS.items(), *OTHER_LIMITS.items()])
def test_a_setting_of_the_guard_is_never_changed_in_name_only(
    estimator: Estimator, name: str, value: Any
) -> None:
    model = guarded(estimator)
    with pytest.raises(UsageError, match=f"the {name} of a GuardedChatModel stays as it was made"):
        model.model_copy(update={name: value})
    with pytest.raises(UsageError, match=rf"wrap\(model, {name}=…\)"):
        setattr(model, name, value)


@pytest.mark.parametrize(("name", "value"), [*OTHERS.items(), ("keep_conversations", 1)])
def test_nor_is_one_of_a_local_model(estimator: Estimator, name: str, value: Any) -> None:
    model = ChatLocal(estimator=estimator, max_tokens=8)
    with pytest.raises(UsageError, match=f"the {name} of a ChatLocal stays as it was made"):
        setattr(model, name, value)


def test_wrapping_and_a_calls_config_set_another_policy(estimator: Estimator) -> None:
    model = guarded(estimator)
    assert wrap(model, policy=0.99).invoke("?").text == "I don't know."
    config: Any = {"configurable": {"ct_guard_policy": 0.99}}
    assert model.invoke("?", config).text == "I don't know."
    assert model.invoke("?").text == "perhaps"


def test_what_is_no_setting_of_the_guard_may_change(estimator: Estimator) -> None:
    model = guarded(estimator)
    model.hold_stream = False
    assert len(list(model.model_copy(update={"tags": ["one"]}).stream("?"))) > 2


@pytest.fixture(params=["guard", "model", "middleware", "pairs", "chain", "cache"])
def surface(request: pytest.FixtureRequest, estimator: Estimator) -> Any:
    inner = FakeListChatModel(responses=["perhaps"])
    made = {
        "guard": lambda: Guard(estimator, 0.3),
        "model": lambda: guarded(estimator),
        "middleware": lambda: ConfidenceMiddleware(estimator, 0.3),
        "pairs": lambda: ConfidenceGuard(estimator, 0.3),
        "chain": lambda: ConfidenceGuard(estimator, 0.3).wrap(inner | StrOutputParser()),
        "cache": ScoreCache,
    }
    return made[request.param]()


def guard_in(surface: Any) -> Any:
    if isinstance(surface, GuardedChatModel):
        return surface._guard
    found = getattr(surface, "guard", getattr(surface, "guarding", surface))
    return getattr(found, "guard", found)


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
def test_a_copy_has_the_same_guard_and_the_same_model(surface: Any, make: Any) -> None:
    assert guard_in(make(surface)) is guard_in(surface)


def test_no_surface_can_be_pickled_and_each_says_why(surface: Any) -> None:
    with pytest.raises(TypeError, match=r"cannot be pickled: make it (where|in the process)"):
        pickle.dumps(surface)


def test_an_estimator_is_not_doubled_by_a_copy(estimator: Estimator) -> None:
    assert copy.deepcopy(estimator) is estimator
