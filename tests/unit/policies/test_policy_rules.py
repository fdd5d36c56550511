"""Each rule, and what happens to answers that were not scored."""

import pytest

from ct_guard.errors import BackendError
from ct_guard.policies import Annotate, Certified, Escalate, OnError, Situation, Threshold, decide
from ct_guard.records import Action, Certificate, Confidence, Status


def action(policy: Threshold | Escalate, p: float, **left: int | None) -> Action:
    return policy.decide(Confidence(p=p), Situation(**left)).action


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
