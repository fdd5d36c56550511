"""A void certificate: nothing passes by it, as the policy was told."""

import pytest

from ct_guard.certificates import Certificate, Void
from ct_guard.errors import LowConfidenceError, PolicyError
from ct_guard.policies import (
    Annotate,
    Certified,
    Situation,
    decide,
    default_policy,
    load_policy,
)
from ct_guard.records import Confidence

STANDS = Certificate(alpha=0.1, delta=0.1, threshold=0.5, n=100, answered=50, errors=1)
VOID = STANDS.model_copy(update={"void": Void(at="2026-01-01", reason="20 of 50 were wrong")})
LENIENT = Certificate(alpha=0.3, delta=0.1, threshold=0.2, n=100, answered=90, errors=20)
SURE = Confidence(p=0.99)


def test_nothing_passes_however_sure() -> None:
    found = decide(Certified(certificate=VOID, below="pass"), SURE)
    assert found.action == "abstain"
    assert found.reason == "20 of 50 were wrong (since 2026-01-01)"


def test_what_became_void_later_is_asked_of_whoever_knows() -> None:
    policy = Certified(certificate=STANDS)
    assert policy.decide(SURE, Situation()).action == "pass"
    assert policy.decide(SURE, Situation(why_void=lambda known: "")).action == "pass"
    asked = Situation(why_void=lambda known: "it broke" if known == STANDS else "")
    assert policy.decide(SURE, asked).reason == "it broke"
    assert Certified(certificate=LENIENT).decide(SURE, asked).action == "pass"


@pytest.mark.parametrize(
    ("on_void", "left", "action"),
    [
        ("abstain", 2, "abstain"),  # whoever else answers would not pass either
        ("escalate", 2, "escalate"),
        ("escalate", 0, "abstain"),
        ("human", 2, "human"),
    ],
)
def test_it_goes_as_the_policy_says(on_void: str, left: int, action: str) -> None:
    policy = load_policy({"kind": "certified", "on_void": on_void}, [VOID])
    assert policy.decide(SURE, Situation(models_left=left)).action == action


def test_raising_is_done_at_load_and_at_run_time() -> None:
    with pytest.raises(PolicyError, match="20 of 50 were wrong: make a new one with"):
        load_policy({"kind": "certified", "on_void": "raise"}, [VOID])
    loaded = load_policy({"kind": "certified", "on_void": "raise"}, [STANDS])
    with pytest.raises(LowConfidenceError, match="it broke"):
        decide(loaded, SURE, situation=Situation(why_void=lambda known: "it broke"))


def test_no_policy_lets_answers_through_once_void() -> None:
    with pytest.raises(PolicyError, match="on_void"):
        load_policy({"kind": "certified", "on_void": "pass"}, [VOID])


def test_neither_a_looser_promise_nor_none_takes_the_place_of_a_void_one() -> None:
    assert default_policy([VOID, LENIENT]) == Certified(certificate=VOID)
    assert load_policy("certified", [VOID, LENIENT]) == Certified(certificate=VOID)
    assert load_policy({"kind": "certified", "alpha": 0.3}, [VOID, LENIENT]).decide(
        SURE, Situation()
    ).action == "pass"  # fmt: skip
    assert default_policy([]) == Annotate()
