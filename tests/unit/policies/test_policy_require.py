"""What has to hold of a reading before its probability counts."""

from typing import Any

import pytest

from ct_guard.errors import PolicyError
from ct_guard.policies import Escalate, Policy, Require, Review, Situation, Threshold, load_policy
from ct_guard.records import Confidence

HIGH = Threshold(threshold=0.7)
SURE = Confidence(p=0.9, calibrated=True, ood=0.5)


@pytest.mark.parametrize(
    ("wanted", "change", "reason"),
    [
        ({"calibrated": True}, {"calibrated": False}, "not calibrated"),
        ({"truncated": False}, {"truncated": True}, "truncated"),
        ({"sanitized": False}, {"sanitized": True}, "sanitized"),
        ({"cut_off": False}, {"cut_off": True}, "cut_off"),
        ({"ood": 0.05}, {"ood": 0.01}, "ood p 0.010 < 0.050"),
        ({"ood": 0.05}, {"ood": None}, "ood not measured"),
    ],
)
def test_a_reading_that_is_not_as_wanted_does_not_pass(
    wanted: dict[str, Any], change: dict[str, Any], reason: str
) -> None:
    policy = Require(policy=HIGH, **wanted)
    assert policy.decide(SURE, Situation()).action == "pass"
    decision = policy.decide(SURE.model_copy(update=change), Situation())
    assert (decision.action, decision.reason) == ("abstain", reason)


def test_what_is_as_wanted_goes_by_the_policy_inside() -> None:
    decision = Require(policy=HIGH, calibrated=True).decide(
        Confidence(p=0.1, calibrated=True), Situation()
    )
    assert (decision.action, decision.policy) == ("abstain", "threshold 0.7, if calibrated")
    assert decision.reason == "p 0.100 < 0.700"


def test_otherwise_may_be_an_action_or_a_policy() -> None:
    cut = Confidence(p=0.9, truncated=True)

    def action(otherwise: object, situation: Situation) -> str:
        policy = Require(policy=HIGH, truncated=False, otherwise=otherwise)
        return policy.decide(cut, situation).action

    assert action("human", Situation()) == "human"
    assert action("abstain", Situation(models_left=1)) == "escalate"
    assert action("escalate", Situation(exhausted=True)) == "abstain"
    assert action(Review(threshold=0.95), Situation()) == "human"
    assert action(Escalate(threshold=0.95), Situation(models_left=0)) == "abstain"


def test_it_is_read_from_json() -> None:
    spec = {"kind": "require", "policy": 0.7, "truncated": False, "ood": 0.05, "otherwise": "human"}
    loaded = load_policy(spec)
    assert isinstance(loaded, Policy)
    assert loaded == Require(policy=HIGH, truncated=False, ood=0.05, otherwise="human")
    assert loaded.name == "threshold 0.7, if not truncated and ood p at least 0.05"


def test_it_has_to_require_something() -> None:
    with pytest.raises(PolicyError, match="require at least one of calibrated"):
        load_policy({"kind": "require", "policy": 0.7})
