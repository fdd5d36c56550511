"""The tool gate: each call needs the confidence of its tool."""

import pytest

from ct_guard.errors import PolicyError
from ct_guard.policies import Escalate, OnMissing, Situation, Threshold, ToolGate
from ct_guard.records import Action, Confidence

GATE = ToolGate(thresholds={"delete": 0.9}, default=0.5, answers=Threshold(threshold=0.7))


def call(gate: ToolGate, p: float | None, tool: str) -> Action:
    return gate.decide(Confidence(p=p), Situation(tool=tool, turn="tool_call")).action


def test_each_tool_has_its_own_threshold() -> None:
    assert call(GATE, 0.9, "delete") == "pass"
    assert call(GATE, 0.8, "delete") == "abstain"
    assert call(GATE, 0.5, "search") == "pass"
    assert call(GATE, 0.4, "search") == "abstain"


def test_without_a_default_other_tools_run_whatever_the_score() -> None:
    gate = ToolGate(thresholds={"delete": 0.9}, on_missing="block")
    assert call(gate, 0.0, "search") == "pass"
    assert call(gate, None, "search") == "pass"
    assert call(gate, None, "delete") == "abstain"


@pytest.mark.parametrize(("on_missing", "expected"), [("allow", "pass"), ("block", "abstain")])
def test_a_call_without_a_score_goes_by_on_missing(on_missing: OnMissing, expected: Action) -> None:
    gate = ToolGate(default=0.5, on_missing=on_missing)
    assert call(gate, None, "delete") == expected


def test_a_person_may_decide_on_a_call() -> None:
    gate = ToolGate(default=0.5, below="human", allowed=("approve", "reject"))
    decision = gate.decide(Confidence(p=0.1), Situation(tool="delete"))
    assert (decision.action, decision.allowed) == ("human", ("approve", "reject"))


def test_answers_go_by_their_own_policy_and_a_turn_of_calls_passes_to_its_gate() -> None:
    low = Confidence(p=0.1)
    assert GATE.decide(low, Situation()).action == "abstain"
    assert GATE.decide(low, Situation(turn="tool_call")).action == "pass"
    climbing = ToolGate(answers=Escalate(threshold=0.7))
    assert climbing.decide(low, Situation(models_left=1)).action == "escalate"


def test_by_default_a_call_without_a_score_is_one_below_its_threshold() -> None:
    assert call(ToolGate(thresholds={"delete": 0.9}), None, "delete") == "abstain"
    assert call(ToolGate(thresholds={"delete": 0.9}, below="human"), None, "delete") == "human"


def test_a_turn_of_calls_that_is_delivered_whole_goes_as_the_first_that_may_not_run() -> None:
    fine, low = ("search", Confidence(p=0.6)), ("delete", Confidence(p=0.6))
    assert GATE.decide_turn([fine, fine]).action == "pass"
    decision = GATE.decide_turn([fine, low])
    assert (decision.action, decision.reason) == ("abstain", "delete: p 0.600 < 0.900")
    assert GATE.decide_turn([("delete", Confidence(p=None))]).reason == "delete: no score"


@pytest.mark.parametrize("name", ["delet", "Delete_file", "DELETE-FILE", "deleteFile"])
def test_a_misspelt_tool_is_an_error_that_says_what_was_meant(name: str) -> None:
    gate = ToolGate(thresholds={name: 0.9})
    gate.check_names({name, "search"})
    said = f"names '{name}', which is no tool here: did you mean 'delete_file'"
    with pytest.raises(PolicyError, match=said):
        gate.check_names({"delete_file", "search"})


def test_a_tool_that_another_agent_has_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    gate = ToolGate(thresholds={"delete_file": 0.9, "delete_files": 0.9})
    for _ in range(2):
        gate.check_names({"delete_file", "look_up"})
        gate.check_names({"delete_file"}, all_known=False)
    (said,) = caplog.messages
    assert "names 'delete_files', and there is no such tool among delete_file, look_up" in said
