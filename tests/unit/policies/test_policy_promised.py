"""Policies that keep the promises of cascades, of groups, and of answers that are wrong."""

from typing import Any

import pytest

from ct_guard.certificates import Certificate
from ct_guard.errors import PolicyError
from ct_guard.policies import (
    BelowAnsweredWrong,
    Cascade,
    Certified,
    Known,
    Situation,
    load_policy,
)
from ct_guard.promises import (
    AnsweredWrong,
    CascadeCertificate,
    Costs,
    GroupCertificates,
    Stage,
)
from ct_guard.records import Confidence

FOUND = CascadeCertificate(
    alpha=0.1, delta=0.1, models=("large", "small"), costs=Costs(prices=(1.0, 0.0)),
    stages=(Stage(model="small", threshold=0.8), Stage(model="large", threshold=0.6)),
    learnt=50, n=100, answered=60, errors=2, asked=(100, 50),
)  # fmt: skip
NONE = FOUND.model_copy(
    update={"stages": (), "asked": (), "answered": 0, "errors": 0, "reason": "few"}
)
LAW = Certificate(alpha=0.1, delta=0.05, threshold=0.7, n=50, answered=20, errors=0)
TINY = LAW.model_copy(update={"threshold": None, "answered": 0, "reason": "9 rows are too few"})
GROUPS = GroupCertificates(
    column="subject", alpha=0.1, delta=0.1, certificates={"law": LAW, "tiny": TINY}
)
WRONG = AnsweredWrong(alpha=0.05, threshold=0.4, n=100, answered=80, errors=4)


def at(p: float) -> Confidence:
    return Confidence(p=p)


def test_each_stage_has_its_threshold_and_the_last_abstains() -> None:
    policy = Cascade(certificate=FOUND)
    first, second = Situation(models_left=1), Situation(models_left=0, model_index=1)
    assert policy.decide(at(0.8), first).action == "pass"
    assert policy.decide(at(0.7), first).action == "escalate"
    assert policy.decide(at(0.7), second).action == "pass"
    assert policy.decide(at(0.5), second).action == "abstain"
    assert Cascade(certificate=FOUND, below="human").decide(at(0.5), second).action == "human"


def test_nothing_passes_where_models_of_the_promise_are_missing() -> None:
    decision = Cascade(certificate=FOUND).decide(at(0.99), Situation(models_left=0))
    assert decision.action == "abstain"
    assert decision.reason == "small, then large were certified together, and not all are here"


def test_nothing_passes_of_a_model_beyond_the_promise() -> None:
    beyond = Situation(models_left=0, model_index=2)
    assert "no model after them" in Cascade(certificate=FOUND).decide(at(0.99), beyond).reason


def test_models_beyond_the_promise_are_not_asked() -> None:
    last = Situation(models_left=3, model_index=1)
    assert Cascade(certificate=FOUND).decide(at(0.5), last).action == "abstain"


def test_without_a_certified_cascade_nothing_passes() -> None:
    decision = Cascade(certificate=NONE).decide(at(1.0), Situation())
    assert decision.action == "abstain"
    assert decision.reason == "no cascade could be certified: few"
    assert Cascade(certificate=NONE).explain(at(1.0)) == f"Abstain: {decision.reason}."


def test_it_says_in_words_which_stage_decides_and_what_is_promised() -> None:
    said = Cascade(certificate=FOUND).explain(at(0.7), Situation(models_left=1))
    assert said == (
        "Answer of small, stage 1 of 2 (small, then large): p 0.700 < 0.800: escalate. Of all that"
        " these models answer together, at most 0.1 is wrong, with probability 0.9."
    )
    assert "reaches 0.800: it passes" in Cascade(certificate=FOUND).explain(at(0.9))


def test_policies_find_their_promise_in_the_estimator() -> None:
    known: list[Known] = [LAW, FOUND, GROUPS, WRONG]
    assert load_policy("certified", known) == Certified(certificate=LAW)
    assert load_policy({"kind": "cascade", "alpha": 0.1}, known) == Cascade(certificate=FOUND)
    assert load_policy({"kind": "answered_wrong"}, known) == BelowAnsweredWrong(promise=WRONG)
    by_group = load_policy({"kind": "certified", "group": "law", "below": "human"}, known)
    assert by_group == Certified(certificate=LAW, below="human")


def test_a_certificate_of_a_group_is_none_for_all() -> None:
    with pytest.raises(PolicyError, match=r"no such certificate \(it holds by subject alpha=0.1"):
        load_policy("certified", [GROUPS])


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"kind": "cascade", "alpha": 0.2}, "no such cascade.*certify --cascade"),
        ({"kind": "cascade", "below": "retry"}, "'below'"),
        ({"kind": "answered_wrong", "alpha": 0.2}, "certify --answered-wrong"),
        ({"kind": "certified", "group": "art"}, "no such certificate of group 'art'"),
        ({"kind": "certified", "group": "tiny"}, "9 rows are too few"),
    ],
)
def test_a_promise_that_was_not_made_is_told_at_load(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        load_policy(spec, [LAW, FOUND, GROUPS, WRONG])


def test_what_could_not_be_certified_is_told_at_load() -> None:
    with pytest.raises(PolicyError, match="no cascade could be certified: few"):
        load_policy({"kind": "cascade"}, [NONE])
    nothing = WRONG.model_copy(update={"threshold": None, "reason": "too few"})
    with pytest.raises(PolicyError, match="no threshold keeps it: too few"):
        load_policy({"kind": "answered_wrong"}, [nothing])
    refused = BelowAnsweredWrong(promise=nothing).decide(at(1.0), Situation())
    assert (refused.action, refused.reason) == ("abstain", "no such threshold exists: too few")
