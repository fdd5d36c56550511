"""The policy over an agent's run: it sees all turns so far, and stops, plans anew or asks."""

from typing import Any

import pytest

from ct_guard.errors import PolicyError
from ct_guard.policies import Run, Situation, Threshold, load_policy, parts
from ct_guard.records import Confidence
from ct_guard.runs import RunTurn
from tests.agent_runs import run_layer

LAYER = run_layer(least=4.0)  # p of the least confidence, sharper
GOOD = Confidence(p=0.9)


def run(*p: float, **update: Any) -> Situation:
    return Situation(run=tuple(RunTurn(p=(one,)) for one in p), **update)


def policy(**fields: Any) -> Run:
    return Run(threshold=0.5, layer=LAYER, **fields)


def test_a_good_turn_of_a_good_run_passes() -> None:
    decision = policy().decide(GOOD, run(0.9, 0.9))
    assert (decision.action, decision.reason) == ("pass", "")


@pytest.mark.parametrize(("below", "action"), [("stop", "abstain"), ("ask", "human")])
def test_a_good_turn_of_a_run_that_went_wrong_before_goes_as_below_says(
    below: Any, action: str
) -> None:
    decision = policy(below=below).decide(GOOD, run(0.1, 0.9))
    assert decision.action == action
    assert decision.reason.startswith("P(the run succeeds) 0.")
    assert bool(decision.allowed) == (action == "human")
    assert decision.told == ""


def test_planning_anew_asks_the_model_again_and_tells_it_why_then_goes_on_otherwise() -> None:
    rule = policy(below="replan", times=2, otherwise="ask")
    first = rule.decide(GOOD, run(0.1, 0.9))
    assert first.action == "retry"
    assert "make another plan" in first.told
    assert rule.decide(GOOD, run(0.1, 0.9, retries=1)).action == "retry"
    assert rule.decide(GOOD, run(0.1, 0.9, retries=2)).action == "human"
    assert rule.decide(GOOD, run(0.1, 0.9, exhausted=True)).action == "human"
    assert rule.asks
    assert not policy(below="stop", otherwise="ask").asks


def test_the_policy_inside_goes_first() -> None:
    rule = policy(below="ask", policy=Threshold(threshold=0.7))
    decision = rule.decide(Confidence(p=0.6), run(0.1, 0.6))
    assert (decision.action, decision.reason) == ("abstain", "p 0.600 < 0.700")
    assert decision.policy == rule.name
    assert [type(part) for part in parts(rule)] == [Run, Threshold]


@pytest.mark.parametrize(
    "situation",
    [Situation(), Situation(run=(RunTurn(p=(None,)),)), run(0.1, tool="publish")],
    ids=["of no run", "without a score", "about one call"],
)
def test_where_nothing_is_known_of_the_run_the_policy_inside_decides(situation: Situation) -> None:
    assert policy().decide(GOOD, situation).action == "pass"


def test_it_is_loaded_with_what_the_estimator_knows_and_refused_without() -> None:
    spec = {"kind": "run", "threshold": 0.4, "below": "replan", "policy": 0.7}
    made = load_policy(spec, [LAYER])
    assert isinstance(made, Run)
    assert made.layer == LAYER
    assert made.policy == Threshold(threshold=0.7)
    with pytest.raises(PolicyError, match=r"knows nothing of runs: .*calibrate --runs"):
        load_policy(spec)
    with pytest.raises(PolicyError, match="below"):
        load_policy({**spec, "below": "panic"}, [LAYER])
