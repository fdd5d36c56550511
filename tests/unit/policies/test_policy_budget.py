"""The budget: escalations are bounded over a window of calls, also between threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.errors import PolicyError
from ct_guard.policies import (
    Budget,
    Escalate,
    Ledger,
    Retry,
    Situation,
    Threshold,
    ToolGate,
    decide,
    ledger_for,
)
from ct_guard.records import Action, Confidence, Decision

LOW, HIGH = Confidence(p=0.1), Confidence(p=0.9)


def ask(
    budget: Budget, ledger: Ledger | None, confidence: Confidence = LOW, *, index: int = 0
) -> Decision:
    situation = Situation(models_left=2 - index, model_index=index, ledger=ledger)
    return decide(budget, confidence, on_error="raise", situation=situation)


def actions(budget: Budget, calls: list[Confidence]) -> list[Action]:
    ledger = ledger_for(budget)
    return [ask(budget, ledger, call).action for call in calls]


def test_a_share_of_the_window_may_escalate_then_the_policy_has_no_model_left() -> None:
    budget = Budget(policy=Escalate(threshold=0.5, otherwise="human"), share=0.5, window=4)
    assert actions(budget, [LOW] * 4) == ["escalate", "escalate", "human", "human"]


def test_a_spent_budget_is_said_so_and_a_threshold_abstains() -> None:
    budget = Budget(policy=Threshold(threshold=0.5), share=0.0)
    decision = ask(budget, ledger_for(budget))
    assert decision.action == "abstain"
    assert decision.reason == "p 0.100 < 0.500; the escalation budget is spent"
    assert decision.policy == budget.name == "threshold 0.5, within 0% of calls"


def test_old_calls_are_forgotten() -> None:
    budget = Budget(policy=Escalate(threshold=0.5), share=0.5, window=2)
    assert actions(budget, [LOW, LOW, HIGH, LOW]) == ["escalate", "abstain", "pass", "escalate"]


def test_each_stronger_model_has_its_price() -> None:
    budget = Budget(policy=Escalate(threshold=0.5), cost=11.0, prices=(1.0, 9.0))
    ledger = ledger_for(budget)
    assert ask(budget, ledger).action == "escalate"
    assert ask(budget, ledger, index=1).action == "escalate"
    assert ask(budget, ledger).action == "escalate"
    assert ask(budget, ledger).action == "abstain"


def test_a_retry_costs_nothing_and_is_no_new_call() -> None:
    budget = Budget(policy=Retry(threshold=0.5), share=1.0, window=1)
    ledger = ledger_for(budget)
    assert ask(budget, ledger).action == "retry"
    again = Situation(models_left=1, retries=1, ledger=ledger)
    assert budget.decide(LOW, again).action == "escalate"
    assert budget.decide(LOW, again).action == "abstain"


def test_an_answer_that_was_not_scored_is_a_call_too() -> None:
    budget = Budget(policy=Escalate(threshold=0.5), share=0.5, window=2)
    ledger = ledger_for(budget)
    broken = Situation(models_left=1, ledger=ledger)
    assert ask(budget, ledger).action == "escalate"
    decide(budget, Confidence(p=None, status="error"), on_error="pass", situation=broken)
    assert ask(budget, ledger).action == "escalate"


def test_without_a_ledger_nothing_is_known_to_be_spent() -> None:
    budget = Budget(policy=Escalate(threshold=0.5), share=0.0)
    assert ask(budget, None).action == "escalate"


def test_only_a_budget_needs_a_ledger_and_one_is_enough() -> None:
    budget = Budget(policy=Escalate(threshold=0.5), share=0.1)
    assert ledger_for(Threshold(threshold=0.5)) is None
    assert ledger_for(ToolGate(answers=budget)) is not None
    with pytest.raises(PolicyError, match="one budget"):
        ledger_for(Budget(policy=budget, cost=3))


@given(
    lows=st.lists(st.booleans(), max_size=60),
    share=st.sampled_from([0.0, 0.1, 0.29, 0.5, 1.0]),
    window=st.integers(1, 12),
)
def test_no_window_of_calls_escalates_more_than_its_share(
    lows: list[bool], share: float, window: int
) -> None:
    budget = Budget(policy=Escalate(threshold=0.5), share=share, window=window)
    taken = actions(budget, [LOW if low else HIGH for low in lows])
    for start in range(len(taken)):
        assert taken[start : start + window].count("escalate") <= share * window + 1e-9


def test_threads_do_not_overspend_together() -> None:
    budget = Budget(policy=Escalate(threshold=0.5), share=0.1, window=1000)
    ledger = ledger_for(budget)
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda _: ask(budget, ledger).action, range(1000)))
    assert taken.count("escalate") == 100
