"""Each rule, and what happens to answers that were not scored."""

from typing import Any

import pytest

from ct_guard.certificates import Certificate
from ct_guard.errors import BackendError
from ct_guard.policies import (
    Annotate,
    Certified,
    Escalate,
    OnError,
    Policy,
    Retry,
    Review,
    Situation,
    Threshold,
    ToolGate,
    decide,
    may_withhold,
)
from ct_guard.records import Action, Confidence, Status


def action(policy: Policy, p: float | None, **situation: Any) -> Action:
    return policy.decide(Confidence(p=p), Situation(**situation)).action


def test_the_threshold_itself_passes() -> None:
    policy = Threshold(threshold=0.7, below="retry")
    assert action(policy, 0.7) == "pass"
    assert action(policy, 0.6999) == "retry"
    decision = policy.decide(Confidence(p=0.25), Situation())
    assert (decision.threshold, decision.reason) == (0.7, "p 0.250 < 0.700")


def test_annotate_passes_everything() -> None:
    assert Annotate().decide(Confidence(p=0.0), Situation()).action == "pass"


def test_escalation_ends_when_no_model_is_left() -> None:
    policy = Escalate(threshold=0.5, otherwise="human")
    assert action(policy, 0.4) == "escalate"
    assert action(policy, 0.4, models_left=1) == "escalate"
    assert action(policy, 0.4, models_left=0) == "human"
    assert action(policy, 0.5, models_left=0) == "pass"


def test_stronger_models_are_asked_before_a_threshold_abstains() -> None:
    policy = Threshold(threshold=0.5)
    assert action(policy, 0.4, models_left=1) == "escalate"
    assert action(policy, 0.4, models_left=0) == "abstain"
    assert action(policy, 0.4) == "abstain"


def test_a_threshold_retries_once() -> None:
    policy = Threshold(threshold=0.5, below="retry")
    assert action(policy, 0.4) == "retry"
    assert action(policy, 0.4, retries=1) == "abstain"


def test_retries_are_counted_for_each_model() -> None:
    policy = Retry(threshold=0.5, times=2, otherwise="human")
    assert [action(policy, 0.4, retries=n) for n in range(4)] == [
        "retry", "retry", "human", "human",
    ]  # fmt: skip
    assert action(policy, 0.4, model_index=1) == "retry"
    assert action(policy, 0.5, retries=2) == "pass"


def test_retry_then_escalate_then_review_then_abstain() -> None:
    review = Review(threshold=0.6, hopeless=0.2)
    policy = Retry(threshold=0.7, otherwise=Escalate(threshold=0.7, otherwise=review))
    assert policy.name == "retry 1x below 0.7, then escalate below 0.7, then review below 0.6"
    assert action(policy, 0.5, models_left=1) == "retry"
    assert action(policy, 0.5, models_left=1, retries=1) == "escalate"
    assert action(policy, 0.5, models_left=0, retries=1) == "human"
    assert action(policy, 0.65, models_left=0, retries=1) == "pass"
    decision = policy.decide(Confidence(p=0.1), Situation(models_left=0, retries=1))
    assert (decision.action, decision.policy) == ("abstain", policy.name)
    assert decision.reason == "p 0.100 < 0.200"


def test_a_person_is_told_why_and_what_they_may_do() -> None:
    policy = Review(threshold=0.6, allowed=("approve", "reject"))
    decision = policy.decide(Confidence(p=0.3), Situation())
    assert (decision.action, decision.allowed) == ("human", ("approve", "reject"))
    assert decision.reason == "p 0.300 < 0.600"


def test_a_refusal_is_for_a_person_too() -> None:
    policy = Review(threshold=0.6, hopeless=0.2)
    decision = policy.decide(Confidence(p=None, status="refusal"), Situation())
    assert (decision.action, decision.reason) == ("human", "status refusal")


def test_without_a_certified_threshold_nothing_passes() -> None:
    certificate = Certificate(
        alpha=0.1, delta=0.1, threshold=None, n=30, answered=0, errors=0, reason="too few rows"
    )
    decision = Certified(certificate=certificate).decide(Confidence(p=1.0), Situation())
    assert decision.action == "abstain"
    assert decision.reason == "no certified threshold exists: too few rows"
    assert decision.threshold is None


def test_a_certified_threshold_is_used_as_it_is() -> None:
    certificate = Certificate(alpha=0.1, delta=0.1, threshold=0.6, n=9, answered=4, errors=0)
    policy = Certified(certificate=certificate)
    assert policy.decide(Confidence(p=0.6), Situation()).action == "pass"
    assert policy.decide(Confidence(p=0.59), Situation()).action == "abstain"


@pytest.mark.parametrize("status", ["error", "too_long", "unsupported", "invalid"])
@pytest.mark.parametrize(("on_error", "expected"), [("pass", "pass"), ("block", "abstain")])
def test_what_was_not_scored_goes_by_on_error_whatever_the_policy(
    status: Status, on_error: OnError, expected: Action
) -> None:
    confidence = Confidence(p=None, status=status, error="out of paper")
    for policy in (Annotate(), Threshold(threshold=0.0), Escalate(threshold=0.0)):
        decision = decide(policy, confidence, on_error=on_error)
        assert decision.action == expected
        assert decision.reason == f"not scored ({status}): out of paper"


def test_on_error_may_raise_with_the_reason() -> None:
    confidence = Confidence(p=None, status="error", error="out of paper")
    with pytest.raises(BackendError, match="out of paper"):
        decide(Annotate(), confidence, on_error="raise")


@pytest.mark.parametrize(
    ("policy", "on_error", "gated", "withholds"),
    [
        (Annotate(), "pass", False, False),
        (Annotate(), "block", False, True),
        (Threshold(threshold=0.5), "pass", False, True),
        (ToolGate(default=0.5), "pass", False, True),
        (ToolGate(default=0.5), "pass", True, False),
        (ToolGate(default=0.5, answers=Threshold(threshold=0.5)), "pass", True, True),
    ],
)
def test_a_stream_is_held_where_its_answer_may_be_withheld(
    policy: Policy, on_error: OnError, gated: bool, withholds: bool
) -> None:
    assert may_withhold(policy, on_error, gated=gated) is withholds
