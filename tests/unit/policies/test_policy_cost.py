"""Decisions by expected cost."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ct_guard.errors import PolicyError
from ct_guard.policies import Cost, PricedModel, Situation, load_policy
from ct_guard.promises import Handover, HandoverBin
from ct_guard.records import Confidence, Status

ALONE = Cost(error=20, abstain=2)
"""Chow's rule: pass from 1 - 2/20 = 0.9 on."""


def at(p: float | None, status: Status = "ok") -> Confidence:
    return Confidence(p=p, status=status)


def handover(
    right: tuple[float, float] = (0.3, 0.95),
    *,
    names: tuple[str, ...] = ("small", "large"),
    shift: float = 0.0,
    highest: tuple[float, float] = (0.99, 0.99),
) -> Handover:
    """Two bins of the weaker model's P, split at 0.5; the stronger one says what is true."""
    bins = tuple(
        HandoverBin(low=low, rows=100, right=round(100 * share), shift=shift, reached=(share,))
        for low, share in zip((0.0, 0.5), right, strict=True)
    )
    return Handover(models=names, steps=(bins,), highest=highest, n=200)


def two(**changes: Any) -> Cost:
    given: dict[str, Any] = {
        "error": 20, "abstain": 5, "models": (PricedModel(price=0), PricedModel(price=1)),
        "handover": handover(),
    }  # fmt: skip
    return Cost(**(given | changes))


@pytest.mark.parametrize(("p", "action"), [(0.91, "pass"), (0.9, "pass"), (0.89, "abstain")])
def test_alone_it_is_chows_rule(p: float, action: str) -> None:
    assert ALONE.decide(at(p), Situation(models_left=0)).action == action


def test_a_stronger_model_is_asked_where_that_costs_least() -> None:
    """Above 0.5 asking costs 1 + 20 * 0.05 = 2; below, the stronger one abstains as well: 1 + 5."""
    policy = two()
    first = Situation(models_left=1)
    assert policy.decide(at(0.6), first).action == "escalate"
    assert policy.decide(at(0.3), first).action == "abstain"
    assert policy.decide(at(0.91), first).action == "pass"
    assert policy.decide(at(0.89), first).action == "escalate"
    assert policy.decide(at(0.89), Situation(models_left=0)).action == "pass"  # 2.2 is below 5


def test_what_is_known_of_the_stronger_model_is_conditional_on_a_low_p() -> None:
    """Right in 62% of all cases, but the cases that are handed on are the hard ones."""
    first = Situation(models_left=1)
    hard = two(handover=handover(right=(0.3, 0.95)))
    easy = two(handover=handover(right=(0.95, 0.3)))
    assert hard.decide(at(0.3), first).action == "abstain"
    assert easy.decide(at(0.3), first).action == "escalate"


def test_the_stronger_models_p_is_corrected_by_what_is_known_of_such_answers() -> None:
    overrated = two(handover=handover(shift=-1.0))
    second = Situation(models_left=0, model_index=1)
    assert two().decide(at(0.8), second).action == "pass"
    assert overrated.decide(at(0.8), second).action == "abstain"
    assert "0.600" in overrated.explain(at(0.803), second)


def test_a_share_of_right_answers_may_be_given_instead() -> None:
    models = [{"price": 0}, {"price": 1, "correct": 0.95}]
    policy = load_policy({"kind": "cost", "error": 20, "abstain": 5, "models": models})
    assert isinstance(policy, Cost)
    assert policy.decide(at(0.3), Situation(models_left=1)).action == "escalate"
    assert "is taken to be right in 95% of such cases" in policy.explain(at(0.3))


def test_answers_without_a_probability_count_as_wrong() -> None:
    decision = two().decide(at(None, "refusal"), Situation(models_left=1))
    assert decision.action == "abstain"
    assert decision.reason.startswith("status refusal: passing costs 20")


def test_it_says_in_words_what_each_choice_costs() -> None:
    said = two().explain(at(0.6), Situation(models_left=1))
    assert said == (
        "For the answer of small, P(correct) is 0.600: passing costs 8, abstaining 5, asking large"
        " 2. So ask large; from P(correct) 0.900 on, answers are let through. Asking: 1 for the"
        " call, then 1; 95 of 100 graded answers of large are right where P(correct) of small is"
        " about as high."
    )
    assert ALONE.explain(at(0.5)) == (
        "For the answer of model 1, P(correct) is 0.500: passing costs 10, abstaining 2. So"
        " abstain; from P(correct) 0.900 on, answers are let through. No further model can be"
        " asked."
    )


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ({"error": 1e9, "abstain": 1}, "no answer is ever worth an error of 1e"),
        ({"error": 20, "abstain": 0}, "'abstain'"),
        ({"error": -1, "abstain": 1}, "'error'"),
        ({"error": 20, "abstain": 2, "models": []}, "'models'"),
        ({"error": 20, "abstain": 2, "models": [{"price": -1}]}, "price"),
        (
            {"error": 20, "abstain": 2, "models": [{"price": 0.1}, {"price": 3}]},
            "nothing is known of how often model 2 is right where model 1 is unsure",
        ),
    ],
)
def test_costs_that_make_no_sense_are_told_at_load(costs: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError, match=said) as caught:
        load_policy({"kind": "cost", **costs})
    assert "\n" not in str(caught.value)


def test_costs_that_no_graded_row_is_worth_are_told_with_the_highest_of_them() -> None:
    known = handover(highest=(0.97, 0.98))
    with pytest.raises(PolicyError, match=r"have to reach 0\.990000, and the highest of 200"):
        load_policy(
            {"kind": "cost", "error": 100, "abstain": 1, "models": [{"price": 0}, {"price": 0}]},
            [known],
        )


def test_the_estimators_knowledge_is_found_by_number_and_name() -> None:
    known = [handover(names=("a", "b", "c")[:2]), handover(names=("small", "large"))]
    spec: dict[str, Any] = {"kind": "cost", "error": 20, "abstain": 2}
    models: list[dict[str, Any]] = [{"price": 0.1}, {"price": 3}]
    first = load_policy(spec | {"models": models}, known)
    assert isinstance(first, Cost)
    assert first.handover is known[0]
    named = [models[0], models[1] | {"name": "large"}]
    second = load_policy(spec | {"models": named}, known)
    assert isinstance(second, Cost)
    assert second.handover is known[1]
    other = [models[0], models[1] | {"name": "other"}]
    with pytest.raises(PolicyError, match="nothing is known"):
        load_policy(spec | {"models": other}, known)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000))
def test_of_the_choices_that_it_weighs_it_takes_the_least(seed: int) -> None:
    """On one bin's worth of known values, against the costs worked out by hand."""
    rng = np.random.default_rng(seed)
    share, price, abstain, p = rng.random(), 3 * rng.random(), 1 + 9 * rng.random(), rng.random()
    policy = two(
        error=20, abstain=abstain, models=(PricedModel(price=0), PricedModel(price=price)),
        handover=handover(right=(share, share)),
    )  # fmt: skip
    asking = price + min(abstain, 20 * (1 - share))
    costs = {"pass": 20 * (1 - p), "abstain": abstain, "escalate": asking}
    chosen = policy.decide(at(p), Situation(models_left=1)).action
    assert costs[chosen] == pytest.approx(min(costs.values()))
