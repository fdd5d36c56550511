"""`resample`: where further answers are drawn, and what bounds them."""

from typing import Any

import pytest

from ct_guard.certificates import Certificate
from ct_guard.errors import PolicyError
from ct_guard.policies import (
    Annotate,
    Budget,
    Certified,
    Escalate,
    Policy,
    Require,
    Resample,
    Retry,
    Situation,
    Threshold,
    ToolGate,
    decide,
    draws,
    ledger_for,
    load_policy,
    resampled,
)
from ct_guard.records import Confidence, Decision

CAN = Situation(models_left=0, drawn=False)


def ask(policy: Policy, p: float | None, situation: Situation = CAN, **about: Any) -> Decision:
    return policy.decide(Confidence(p=p, **about), situation)


@pytest.mark.parametrize(
    ("p", "drawn"), [(0.69, 0), (0.7, 3), (0.75, 3), (0.8, 3), (0.81, 0), (None, 0)]
)
def test_by_default_what_is_only_just_good_enough_is_checked(p: float | None, drawn: int) -> None:
    assert ask(Resample(policy=Threshold(threshold=0.7)), p).samples == drawn


@pytest.mark.parametrize(
    ("p", "action", "drawn"),
    [
        (0.49, "abstain", 0),
        (0.5, "abstain", 4),
        (0.72, "pass", 4),
        (0.75, "pass", 4),
        (0.8, "pass", 0),
    ],
)
def test_a_band_of_ones_own_can_reach_below_the_threshold(
    p: float, action: str, drawn: int
) -> None:
    policy = Resample(samples=4, band=(0.5, 0.75), policy=Threshold(threshold=0.7))
    assert (ask(policy, p).action, ask(policy, p).samples) == (action, drawn)


@pytest.mark.parametrize(
    "situation",
    [
        Situation(models_left=0),
        Situation(models_left=0, drawn=True),
        Situation(models_left=0, drawn=False, turn="tool_call"),
        Situation(models_left=0, drawn=False, tool="add"),
    ],
)
def test_nothing_is_drawn_twice_nor_for_calls_of_tools_nor_where_nobody_can(
    situation: Situation,
) -> None:
    decision = ask(Resample(policy=Threshold(threshold=0.7)), 0.75, situation)
    assert (decision.action, decision.samples) == ("pass", 0)


@pytest.mark.parametrize(
    ("policy", "least"),
    [
        (Escalate(threshold=0.6), 0.6),
        (Retry(threshold=0.6, otherwise=Escalate(threshold=0.4)), 0.6),
        (Require(calibrated=True, policy=Threshold(threshold=0.6)), 0.6),
        (ToolGate(default=0.9, answers=Threshold(threshold=0.6)), 0.6),
        (
            Certified(
                certificate=Certificate(
                    alpha=0.1, delta=0.1, threshold=0.55, n=9, answered=5, errors=0
                )
            ),
            0.55,
        ),
    ],
)
def test_the_band_begins_where_the_policy_within_begins_to_pass(
    policy: Policy, least: float
) -> None:
    resample = Resample(policy=policy)
    found = [ask(resample, least + by, calibrated=True).samples for by in (-0.01, 0.0, 0.1, 0.11)]
    assert found == [0, 3, 3, 0]


def test_until_they_are_drawn_the_decision_is_the_policys_within() -> None:
    policy = Resample(band=(0.0, 1.0), policy=Escalate(threshold=0.7, otherwise="human"))
    decision = ask(policy, 0.4)
    assert (decision.action, decision.reason, decision.samples) == ("human", "p 0.400 < 0.700", 3)
    assert decision.policy == policy.name
    assert policy.name == "escalate below 0.7, 3 further answers from 0 to 1"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"policy": "annotate"}, "no least P passes 'annotate': give a band"),
        ({"policy": 0.7, "band": [0.8, 0.5]}, "a band is the least P and the most"),
        ({"policy": 0.7, "samples": 0}, "field 'samples'"),
        ({"policy": 0.7, "samples": 21}, "field 'samples'"),
        (
            {"policy": {"kind": "budget", "share": 0.1, "policy": 0.7}},
            "a budget goes around it",
        ),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(written: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError, match=said) as error:
        load_policy({"kind": "resample", **written})
    assert "\n" not in str(error.value)


def test_it_loads_with_what_is_in_it() -> None:
    loaded = load_policy({"kind": "resample", "samples": 5, "band": [0.5, 0.8], "policy": 0.7})
    assert loaded == Resample(samples=5, band=(0.5, 0.8), policy=Threshold(threshold=0.7))
    assert draws(load_policy({"kind": "budget", "share": 0.1, "policy": dict(loaded)}))
    assert not draws(Threshold(threshold=0.7))


# --- samples= -------------------------------------------------------------------------------------


def test_a_number_of_samples_is_put_into_budgets_and_tool_gates() -> None:
    inside = Resample(samples=4, policy=Threshold(threshold=0.7))
    budget = Budget(policy=Threshold(threshold=0.7), share=0.1)
    assert resampled(budget, 4) == Budget(policy=inside, share=0.1)
    gate = ToolGate(default=0.9, answers=Threshold(threshold=0.7))
    assert resampled(gate, 4) == ToolGate(default=0.9, answers=inside)
    assert resampled(Resample(band=(0, 1), policy=Annotate()), 4) == Resample(
        samples=4, band=(0, 1), policy=Annotate()
    )


@pytest.mark.parametrize(
    ("policy", "samples", "said"),
    [
        (Annotate(), 3, "every P passes 'annotate': give a policy"),
        (ToolGate(default=0.9), 3, "every P passes 'annotate'"),
        (Threshold(threshold=0.7), 0, "samples=0 cannot be drawn"),
        (Threshold(threshold=0.7), "many", "samples='many' cannot be drawn"),
    ],
)
def test_a_number_that_cannot_be_drawn_is_refused(policy: Policy, samples: Any, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        resampled(policy, samples)


# --- within a budget ------------------------------------------------------------------------------


def spent(budget: Budget, ps: list[float], situation: Situation = CAN) -> list[Decision]:
    """Decisions on first answers, each drawn for where the policy wants it."""
    ledger = ledger_for(budget)
    made = []
    for p in ps:
        about = Situation(
            models_left=situation.models_left, drawn=situation.drawn, ledger=ledger
        )  # fmt: skip
        made.append(decide(budget, Confidence(p=p), situation=about))
        if made[-1].samples:
            again = Situation(models_left=situation.models_left, drawn=True, ledger=ledger)
            assert decide(budget, Confidence(p=p), situation=again).samples == 0
    return made


def test_a_share_of_calls_draws_and_the_rest_is_decided_as_it_is() -> None:
    budget = Budget(policy=Resample(policy=Threshold(threshold=0.7)), share=0.5, window=4)
    made = spent(budget, [0.75] * 6)
    assert [one.samples for one in made] == [3, 3, 0, 0, 3, 3]
    assert {one.action for one in made} == {"pass"}
    assert made[2].reason == ""


def test_further_answers_have_their_price() -> None:
    inside = Resample(samples=2, band=(0.0, 1.0), policy=Threshold(threshold=0.7))
    budget = Budget(policy=inside, cost=1.0, sample_price=0.25, window=100)
    made = spent(budget, [0.75, 0.75, 0.75])
    assert [(one.samples, one.cost) for one in made] == [(2, 0.5), (2, 0.5), (0, 0.0)]


def test_an_escalation_that_further_answers_may_save_is_not_paid_before_they_are_drawn() -> None:
    inside = Resample(samples=1, band=(0.0, 1.0), policy=Escalate(threshold=0.7))
    budget = Budget(policy=inside, cost=5.0, prices=(4.0,))
    ledger = ledger_for(budget)
    first = decide(
        budget, Confidence(p=0.4), situation=Situation(models_left=1, drawn=False, ledger=ledger)
    )
    again = Situation(models_left=1, drawn=True, ledger=ledger)
    then = decide(budget, Confidence(p=0.4), situation=again)
    assert (first.samples, first.cost) == (1, 1.0)
    assert (then.action, then.cost) == ("escalate", 4.0)


def test_a_budget_of_shares_counts_no_costs() -> None:
    budget = Budget(policy=Resample(policy=Threshold(threshold=0.7)), share=1.0)
    assert ask(budget, 0.75).cost is None
