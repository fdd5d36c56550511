"""confidence_router: by action first, then by the highest threshold reached."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard_langchain import ConfidenceGuard, GuardedChatModel, confidence_router
from tests.rule_model import RuleChatModel


def to(place: str) -> Any:
    return lambda given: (place, given)


def record(p: float | None, action: str = "pass") -> dict[str, Any]:
    return {"input": "?", "output": "4", "confidence": {"p": p, "action": action}}


BRANCHES: Any = {0.5: to("caution"), 0.9: to("send"), "abstain": to("hand over")}


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (record(0.95), "send"),
        (record(0.9), "send"),
        (record(0.6), "caution"),
        (record(0.2), "person"),
        (record(0.95, "abstain"), "hand over"),
        (record(None), "person"),
        (record(None, "abstain"), "hand over"),
    ],
)
async def test_where_an_answer_goes(given: Any, place: str) -> None:
    router = confidence_router(BRANCHES, default=to("person"))
    assert router.invoke(given) == (place, given)
    assert await router.ainvoke(given) == (place, given)


def test_behind_a_guarded_chain_and_behind_a_guarded_model(estimator: Estimator) -> None:
    router = confidence_router({"pass": to("send")}, default=to("person"))
    guard = ConfidenceGuard(estimator, policy=0.7)
    for reply, place in (("sure", "send"), ("unsure", "person")):
        model = RuleChatModel(reply=reply)
        assert (guard.wrap(model) | router).invoke("?")[0] == place
        guarded = GuardedChatModel(inner=model, estimator=estimator, policy=0.7)
        assert (guarded | router).invoke("?")[0] == place
    model = RuleChatModel(reply="sure")
    batch = (guard.wrap(model) | router).batch(["?", "?"])
    assert [place for place, _ in batch] == ["send", "send"]


@pytest.mark.parametrize(
    ("branches", "said"),
    [
        ({}, "needs a branch"),
        ({"sure": to("send")}, "'sure' is no action: there are pass, retry"),
        ({1.5: to("send")}, "between 0 and 1, not 1.5"),
        ({True: to("send")}, "between 0 and 1, not True"),
        ({None: to("send")}, "between 0 and 1, not None"),
    ],
)
def test_branches_that_make_no_sense_are_refused(branches: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        confidence_router(branches, default=to("person"))


def test_what_has_no_confidence_cannot_be_routed() -> None:
    router = confidence_router(BRANCHES, default=to("person"))
    with pytest.raises(UsageError, match="AIMessage without a confidence"):
        router.invoke(AIMessage("4"))
