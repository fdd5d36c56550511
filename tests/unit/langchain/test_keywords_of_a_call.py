"""Keywords of a call go to the model or chain inside; those that mean the guard are errors."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard_langchain import ChatLocal, ConfidenceGuard, GuardedChatModel
from tests.rule_model import RuleChatModel

PAIR = {"input": "?", "output": "sure"}


@pytest.fixture(params=["chat model", "local model", "chain", "pairs"])
def surface(request: pytest.FixtureRequest, estimator: Estimator) -> tuple[Any, Any]:
    """A guard, and what it is given."""
    guard = ConfidenceGuard(estimator, 0.3)
    surfaces: dict[str, tuple[Any, Any]] = {
        "chat model": (GuardedChatModel(inner=RuleChatModel(), estimator=estimator), "?"),
        "local model": (ChatLocal(estimator=estimator), "?"),
        "chain": (guard.wrap(RuleChatModel()), "?"),
        "pairs": (guard, PAIR),
    }
    return surfaces[request.param]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("policy", '{"configurable": {"ct_guard_policy": 0.9}}'),
        ("threshold", '{"configurable": {"ct_guard_policy": 0.9}}'),
        ("estimator", "is given where the guard is made"),
    ],
)
async def test_a_setting_of_the_guard_is_never_passed_on(
    surface: tuple[Any, Any], name: str, instead: str
) -> None:
    (model, given), keywords, said = surface, {name: 0.9}, re.escape(instead)
    calls: list[Callable[[], Any]] = [
        lambda: model.invoke(given, **keywords),
        lambda: model.batch([given], **keywords),
        lambda: list(model.stream(given, **keywords)),
        lambda: model.bind(**keywords),
    ]
    for call in calls:
        with pytest.raises(UsageError, match=said):
            call()
    with pytest.raises(UsageError, match=said):
        await model.ainvoke(given, **keywords)
    with pytest.raises(UsageError, match=said):
        await model.abatch([given], **keywords)
    with pytest.raises(UsageError, match=said):
        _ = [part async for part in model.astream(given, **keywords)]


async def test_other_keywords_reach_the_model(estimator: Estimator) -> None:
    inner = RuleChatModel()
    model = GuardedChatModel(inner=inner, estimator=estimator)
    model.invoke("?", models=["one", "other"])
    await model.bind(models=["one", "other"]).ainvoke("?")
    assert [each["models"] for each in inner.asked] == [["one", "other"]] * 2
