"""What every policy promises."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ct_guard.certificates import Certificate, Void
from ct_guard.policies import (
    Annotate,
    BelowAnsweredWrong,
    Budget,
    Cascade,
    Certified,
    Cost,
    Escalate,
    Ledger,
    Policy,
    PricedModel,
    Resample,
    Retry,
    Review,
    Run,
    Situation,
    Threshold,
    ToolGate,
    decide,
    load_policy,
    parts,
)
from ct_guard.promises import (
    AnsweredWrong,
    CascadeCertificate,
    Costs,
    Handover,
    HandoverBin,
    Stage,
)
from ct_guard.records import Confidence, Decision, Status
from tests.agent_runs import run_layer

CERTIFICATE = Certificate(alpha=0.1, delta=0.05, threshold=0.6, n=100, answered=40, errors=1)
NONE_PASSED = Certificate(
    alpha=0.01, delta=0.05, threshold=None, n=100, answered=0, errors=0, reason="too few rows"
)
CASCADE = CascadeCertificate(
    alpha=0.1, delta=0.1, models=("a", "b"), costs=Costs(prices=(0.0, 1.0)),
    stages=(Stage(model="a", threshold=0.8), Stage(model="b", threshold=0.6)),
    learnt=50, n=100, answered=60, errors=2, asked=(100, 50),
)  # fmt: skip
HANDOVER = Handover(
    models=("a", "b"),
    steps=(
        (
            HandoverBin(low=0.0, rows=50, right=20, shift=-0.5, reached=(0.2, 0.5, 0.7)),
            HandoverBin(low=0.55, rows=50, right=45, shift=0.1, reached=(0.6, 0.9, 0.99)),
        ),
    ),
    highest=(0.99, 0.99),
    n=100,
)
VOID = CERTIFICATE.model_copy(update={"void": Void(at="2026-01-01", reason="9 of 20 were wrong")})
POLICIES: list[Policy] = [
    Annotate(),
    Threshold(threshold=0.0),
    Threshold(threshold=0.7),
    Threshold(threshold=1.0, below="human"),
    Certified(certificate=CERTIFICATE),
    Certified(certificate=NONE_PASSED, below="retry"),
    Certified(certificate=VOID),
    Certified(certificate=VOID, on_void="escalate"),
    Escalate(threshold=0.5),
    Escalate(threshold=0.5, otherwise="human", keep="last"),
    Cascade(certificate=CASCADE),
    BelowAnsweredWrong(
        promise=AnsweredWrong(alpha=0.1, threshold=0.5, n=100, answered=70, errors=6)
    ),
    Cost(error=20, abstain=2),
    Run(threshold=0.5, layer=run_layer(least=1.0), policy=Threshold(threshold=0.6)),
    Run(
        threshold=0.5,
        below="replan",
        otherwise="ask",
        layer=run_layer(),
        policy=Review(threshold=1),
    ),
    Cost(
        error=20,
        abstain=6,
        models=(PricedModel(price=0), PricedModel(price=0.5)),
        handover=HANDOVER,
    ),
    Retry(threshold=0.7),
    Retry(threshold=0.7, times=3, otherwise="human"),
    Review(threshold=0.6),
    Review(threshold=0.6, hopeless=0.3, allowed=("approve", "reject")),
    ToolGate(default=0.8, answers=Threshold(threshold=0.7)),
    Resample(policy=Threshold(threshold=0.7)),
    Resample(
        samples=5,
        band=(0.4, 0.8),
        policy=Escalate(threshold=0.6, otherwise=Review(threshold=0.6)),
    ),
    Budget(policy=Threshold(threshold=0.7), share=0.2),
    Budget(policy=Resample(band=(0.0, 1.0), policy=Escalate(threshold=0.6)), cost=2.0),
    Budget(
        policy=Retry(
            threshold=0.7,
            otherwise=Escalate(threshold=0.6, otherwise=Review(threshold=0.6, hopeless=0.2)),
        ),
        cost=0.0,
    ),
]
SITUATIONS = {
    "a file": Situation(),
    "no other model": Situation(models_left=0),
    "two left": Situation(models_left=2),
    "retried": Situation(models_left=1, retries=1),
    "second model": Situation(models_left=0, model_index=1, retries=1),
    "spent": Situation(models_left=2, ledger=Ledger(1)),
    "can draw": Situation(models_left=1, drawn=False),
    "has drawn": Situation(models_left=1, drawn=True),
    "with its reader": Situation(models_left=0, exhausted=True, drawn=False),
    "exhausted": Situation(models_left=2, exhausted=True),
}

pytestmark = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)

few = settings(max_examples=30)
"""Enough, because every test tries each of them with each policy in each situation."""

probabilities = st.floats(0, 1) | st.sampled_from([0.5, 0.6, 0.7])


def scored(p: float | None, status: Status = "ok") -> Confidence:
    return Confidence(p=p, status=status)


@few
@given(p=probabilities)
def test_a_decision_is_plain_data_that_names_its_policy(policy: Policy, p: float) -> None:
    for where, situation in SITUATIONS.items():
        decision = policy.decide(scored(p), situation)
        assert Decision.model_validate_json(decision.model_dump_json()) == decision, where
        assert decision.policy == policy.name, where
    assert "\n" not in policy.name


@few
@given(p=probabilities, higher=probabilities)
def test_a_higher_probability_never_makes_it_worse(policy: Policy, p: float, higher: float) -> None:
    low, high = sorted((p, higher))
    for where, situation in SITUATIONS.items():
        if policy.decide(scored(low), situation).action == "pass":
            assert policy.decide(scored(high), situation).action == "pass", where


@few
@given(p=probabilities)
def test_an_answer_that_does_not_pass_gets_a_reason(policy: Policy, p: float) -> None:
    for where, situation in SITUATIONS.items():
        decision = policy.decide(scored(p), situation)
        assert (decision.action == "pass") == (decision.reason == ""), where


@pytest.mark.parametrize("status", ["empty", "refusal"])
@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS)
def test_an_answer_of_no_worth_passes_only_where_all_pass(
    policy: Policy, situation: Situation, status: Status
) -> None:
    decision = decide(policy, scored(None, status), on_error="raise", situation=situation)
    assert (decision.action == "pass") == isinstance(policy, Annotate)
    assert decision.policy == policy.name


@few
@given(p=probabilities)
def test_nothing_is_asked_for_that_cannot_be_done(policy: Policy, p: float) -> None:
    for where, situation in SITUATIONS.items():
        action = policy.decide(scored(p), situation).action
        if situation.exhausted:
            assert action not in ("retry", "escalate"), where
        if situation.models_left == 0:
            assert action != "escalate", where
    assert policy.decide(scored(p), Situation(models_left=9, retries=99)).action != "retry"


@few
@given(p=probabilities)
def test_further_answers_are_wanted_once_and_of_who_can_draw_them(policy: Policy, p: float) -> None:
    for where, situation in SITUATIONS.items():
        decision = policy.decide(scored(p), situation)
        assert decision.samples == 0 or situation.drawn is False, where


@few
@given(p=probabilities)
def test_only_a_person_is_told_what_they_may_do(policy: Policy, p: float) -> None:
    for where, situation in SITUATIONS.items():
        decision = policy.decide(scored(p), situation)
        assert decision.action == "human" or decision.allowed == (), where


def test_its_parts_start_with_itself(policy: Policy) -> None:
    assert next(parts(policy)) is policy


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS)
def test_deciding_twice_is_deciding_once(policy: Policy, situation: Situation) -> None:
    assert policy.decide(scored(0.55), situation) == policy.decide(scored(0.55), situation)


def test_a_policy_object_loads_as_itself(policy: Policy) -> None:
    assert load_policy(policy) is policy
