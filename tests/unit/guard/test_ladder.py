"""The ladder: which model is asked next, and whose answer is kept."""

from typing import Any

import pytest

from ct_guard.errors import UsageError
from ct_guard.guard import Guard, Ladder, Outcome
from ct_guard.policies import (
    Annotate,
    Budget,
    Escalate,
    Policy,
    Resample,
    Retry,
    Situation,
    Threshold,
)
from ct_guard.records import Assessment, Confidence, Decision
from ct_guard.testing import FakeBackend
from tests.known_confidence import by_word_and_agreement, estimator_on


def guard_with(policy: Policy) -> Guard:
    return Guard(estimator_on(FakeBackend()), policy)


def climb(policy: Policy, said: dict[str, list[Any]], guard: Guard | None = None) -> Outcome[Any]:
    """The outcome where each model says these probabilities, one after another; None: it fails."""
    guard = guard or guard_with(policy)
    ladder = Ladder[str, float](guard, list(said))
    lines = {name: iter(numbers) for name, numbers in said.items()}
    for name in ladder:
        p = next(lines[name])
        if p is None:
            assert ladder.failed(ConnectionError("gone\nfor good"))
            continue
        confidence = Confidence(p=p)
        decision = guard.decide(confidence, ladder.situation)
        ladder.answered(p, [Assessment(confidence=confidence, decision=decision)])
    return ladder.outcome()


@pytest.mark.parametrize(
    ("policy", "said", "p", "action", "attempts", "index"),
    [
        (Annotate(), {"a": [0.1], "b": []}, 0.1, "pass", 1, 0),
        (Threshold(threshold=0.7), {"a": [0.8], "b": []}, 0.8, "pass", 1, 0),
        (Threshold(threshold=0.7), {"a": [0.1]}, 0.1, "abstain", 1, 0),
        (Threshold(threshold=0.7), {"a": [0.1], "b": [0.9]}, 0.9, "pass", 2, 1),
        (Threshold(threshold=0.7), {"a": [0.3], "b": [0.2]}, 0.3, "abstain", 2, 0),
        (Threshold(threshold=0.7, below="human"), {"a": [0.3], "b": []}, 0.3, "human", 1, 0),
        (Threshold(threshold=0.7, below="retry"), {"a": [0.3, 0.4]}, 0.4, "abstain", 2, 0),
        (Retry(threshold=0.7, times=3), {"a": [0.3, 0.2, 0.8]}, 0.8, "pass", 3, 0),
        (Retry(threshold=0.7, times=1), {"a": [0.3, 0.2], "b": [0.1, 0.9]}, 0.9, "pass", 4, 1),
        (Escalate(threshold=0.7, otherwise="human"), {"a": [0.3], "b": [0.2]}, 0.3, "human", 2, 0),
        (Escalate(threshold=0.7, keep="last"), {"a": [0.3], "b": [0.2]}, 0.2, "abstain", 2, 1),
        (
            Retry(threshold=0.7, otherwise=Escalate(threshold=0.5)),
            {"a": [0.6, 0.55], "b": []},
            0.6, "pass", 2, 0,
        ),
    ],
)  # fmt: skip
def test_the_way_up(
    policy: Any, said: dict[str, Any], p: float, action: str, attempts: int, index: int
) -> None:
    outcome = climb(policy, said)
    assert (outcome.result, outcome.assessments[0].action) == (p, action)
    assert (outcome.attempts, outcome.model_index, outcome.error) == (attempts, index, None)


def test_a_failed_retry_is_noted_and_the_policy_goes_on_from_the_best() -> None:
    policy = Retry(threshold=0.7, times=1)
    outcome = climb(policy, {"a": [0.3, None], "b": [0.9]})
    assert (outcome.result, outcome.attempts, outcome.model_index) == (0.9, 3, 1)
    assert outcome.error == "model 0 failed: ConnectionError: gone"


def test_after_a_failed_model_the_next_is_asked_only_within_the_budget() -> None:
    policy = Budget(policy=Escalate(threshold=0.7, otherwise="pass"), cost=1.0)
    outcome = climb(policy, {"a": [0.3], "b": [None], "c": [0.9]})
    assert (outcome.result, outcome.attempts) == (0.3, 2)


def test_the_last_decision_on_an_answer_knows_whose_it_is() -> None:
    """The stronger model's answer is decided on by its own stage, also where nobody is left."""
    heard: list[tuple[int, bool]] = []

    class Heard(Threshold):
        def decide(self, confidence: Confidence, situation: Situation) -> Decision:
            heard.append((situation.model_index, situation.exhausted))
            return Decision(action="escalate", policy=self.name, reason="never sure")

    climb(Heard(threshold=0.7), {"a": [0.3], "b": [0.6]})
    assert heard == [(0, False), (1, False), (1, True)]


def test_the_first_failure_is_the_callers() -> None:
    ladder = Ladder[str, str](guard_with(Annotate()), ["a", "b"])
    for _ in ladder:
        assert not ladder.failed(ConnectionError("gone"))
        break
    with pytest.raises(UsageError, match="no model has answered"):
        ladder.outcome()


def test_what_was_not_scored_ends_the_climb() -> None:
    guard = guard_with(Threshold(threshold=0.7))
    ladder = Ladder[str, str](guard, ["a", "b"])
    for name in ladder:
        confidence = Confidence(p=None, status="error", error="out of paper")
        decision = guard.decide(confidence, ladder.situation)
        ladder.answered(name, [Assessment(confidence=confidence, decision=decision)])
    outcome = ladder.outcome()
    assert (outcome.result, outcome.attempts, outcome.assessments[0].action) == ("a", 1, "abstain")


class Stubborn:
    """Never content, whatever was tried."""

    name = "stubborn"

    def __init__(self, action: Any) -> None:
        self.action = action

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        return Decision(action=self.action, policy=self.name, reason="no")


@pytest.mark.parametrize(("action", "attempts"), [("retry", 11), ("escalate", 2)])
def test_a_policy_that_never_ends_is_ended(action: str, attempts: int) -> None:
    outcome = climb(Stubborn(action), {"a": [0.5] * 11, "b": [0.5] * 11})
    assert outcome.attempts == attempts
    decision = outcome.assessments[0].decision
    assert (decision.action, decision.reason) == ("abstain", "no; nothing is left to try")


# --- further answers ------------------------------------------------------------------------------


def climb_and_draw(
    policy: Policy, said: dict[str, list[Any]], *, fail: int = 0, delivered: bool = False
) -> Outcome[Any]:
    """`climb`, where an answer is a pair: p without further answers, and with them."""
    guard = Guard(by_word_and_agreement(), policy)
    ladder = Ladder[str, Any](guard, list(said), delivered=delivered)
    lines = {name: iter(numbers) for name, numbers in said.items()}
    drawn = False
    for name in ladder:
        alone, beside = next(lines[name])
        for again in (False, True):
            confidence = Confidence(p=beside if drawn and name == "a" else alone)
            decision = guard.decide(confidence, ladder.situation)
            assessment = Assessment(confidence=confidence, decision=decision)
            wanting = ladder.wanting(assessment)
            if wanting is None:
                ladder.answered((alone, beside), [assessment])
                break
            assert not again
            ladder.drew(wanting, [ConnectionError("gone\nfor good")] * fail)
            drawn = True
    return ladder.outcome()


JUST = Resample(policy=Escalate(threshold=0.7))


@pytest.mark.parametrize(
    ("said", "p", "action", "attempts", "index", "samples"),
    [
        ({"a": [(0.9, 0.1)], "b": []}, 0.9, "pass", 1, 0, None),
        ({"a": [(0.75, 0.9)], "b": []}, 0.9, "pass", 4, 0, 3),
        ({"a": [(0.75, 0.1)], "b": [(0.75, 0.0)]}, 0.75, "pass", 5, 1, 3),
        ({"a": [(0.1, 0.9)], "b": [(0.75, 0.0)]}, 0.75, "pass", 2, 1, None),
    ],
)
def test_further_answers_are_those_of_the_first_model(
    said: dict[str, list[Any]],
    p: float,
    action: str,
    attempts: int,
    index: int,
    samples: int | None,
) -> None:
    outcome = climb_and_draw(JUST, said)
    assert (outcome.assessments[0].p, outcome.assessments[0].action) == (p, action)
    assert (outcome.attempts, outcome.model_index, outcome.samples) == (attempts, index, samples)


def test_what_was_drawn_serves_a_retry_as_well() -> None:
    policy = Resample(band=(0.3, 0.8), policy=Retry(threshold=0.7, times=1))
    outcome = climb_and_draw(policy, {"a": [(0.5, 0.4), (0.2, 0.8)]})
    assert (outcome.assessments[0].p, outcome.attempts, outcome.samples) == (0.8, 5, 3)


def test_further_answers_that_failed_are_noted_and_the_others_count() -> None:
    outcome = climb_and_draw(JUST, {"a": [(0.75, 0.9)]}, fail=2)
    assert outcome.samples == 1
    assert outcome.error == "2 of 3 further answers failed: ConnectionError: gone"


def test_what_was_spent_is_added_up() -> None:
    budget = Budget(policy=JUST, cost=9.0, prices=(4.0,), sample_price=0.5)
    assert climb_and_draw(budget, {"a": [(0.75, 0.1)], "b": [(0.9, 0.9)]}).cost == 5.5
    assert climb_and_draw(budget, {"a": [(0.9, 0.9)], "b": []}).cost == 0.0
    assert climb_and_draw(JUST, {"a": [(0.9, 0.9)], "b": []}).cost is None


def test_of_an_answer_with_its_reader_only_the_confidence_can_change() -> None:
    policy = Resample(policy=Threshold(threshold=0.7))
    outcome = climb_and_draw(policy, {"a": [(0.75, 0.1)], "b": []}, delivered=True)
    assert (outcome.assessments[0].p, outcome.assessments[0].action) == (0.1, "abstain")
    assert (outcome.attempts, outcome.model_index) == (4, 0)


def test_a_budget_opens_again_for_streams_that_are_not_held() -> None:
    policy = Resample(policy=Threshold(threshold=0.7))
    guard = Guard(by_word_and_agreement(), Budget(policy=policy, share=0.5, window=2))
    samples = []
    for _ in range(4):
        ladder = Ladder[str, str](guard, ["a"], delivered=True)
        for _ in ladder:
            samples.append(guard.decide(Confidence(p=0.75), ladder.situation).samples)
    assert samples == [3, 0, 3, 0]
