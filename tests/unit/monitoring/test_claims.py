"""Promises beside the certified threshold, held against outcomes: cascades, groups, and more."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ct_guard.guard.validity import Validity
from ct_guard.monitoring import Answered, Outcome, Watch, claims_of
from ct_guard.policies import Situation, load_policy
from ct_guard.promises import (
    AnsweredWrong,
    CascadeCertificate,
    Costs,
    GroupCertificates,
    Handover,
    HandoverBin,
    Promise,
    Stage,
)
from ct_guard.records import Confidence
from ct_guard.risk import answered_wrong_limit
from ct_guard.store import load_manifest, write_manifest
from tests.unit.monitoring.conftest import certificate

CASCADE = CascadeCertificate(
    alpha=0.1,
    delta=0.1,
    models=("small", "large"),
    stages=(Stage(model="small", threshold=0.8), Stage(model="large", threshold=0.4)),
    costs=Costs(prices=(0.0, 1.0)),
    learnt=100,
    n=400,
    answered=300,
    errors=20,
    asked=(400, 200),
)
GROUPS = GroupCertificates(
    column="topic",
    alpha=0.1,
    delta=0.1,
    certificates={
        "law": certificate(group="law", sample=None, delta=0.05),
        "art": certificate(group="art", sample=None, delta=0.05, threshold=None, reason="few"),
        "maths": certificate(group="maths", sample=None, delta=0.05),
    },
)
WRONG = AnsweredWrong(alpha=0.05, threshold=0.5, n=1000, answered=700, errors=49)


@pytest.fixture
def watching(certified: Path) -> Callable[[Promise], Watch]:
    """A watch over an estimator that promises this alone."""

    def made(promise: Promise) -> Watch:
        manifest = load_manifest(certified)
        alone = manifest.model_copy(update={"certificates": (), "promises": (promise,)})
        write_manifest(certified, alone)
        return Watch(certified, alone, certified / "monitor.sqlite")

    return made


def noted(watch: Watch, n: int, p: float, wrong: float, *, prefix: str, **of: object) -> list[str]:
    """n answers alike, and outcomes of which this share is wrong; the texts of the alarms."""
    names = [f"{prefix}-{at}" for at in range(n)]
    model, groups = of.get("model"), of.get("groups", {})
    watch.note([Answered(name, name, p, model, "ok", groups) for name in names])  # type: ignore[arg-type]
    bad = np.arange(n) % round(1 / wrong) == 0 if wrong else np.zeros(n, np.bool_)
    outcomes = [Outcome(name, not one, name) for name, one in zip(names, bad, strict=True)]
    return [alarm.text for alarm in watch.add_outcomes(outcomes)[1]]


def test_a_handover_promises_nothing_and_what_has_no_threshold_neither() -> None:
    step = (HandoverBin(low=0.0, rows=9, right=3, shift=0.0, reached=(0.5,)),)
    handover = Handover(models=("a", "b"), steps=(step,), highest=(0.9, 0.9), n=9)
    none = CASCADE.model_copy(update={"stages": (), "asked": ()})
    assert claims_of([handover, none, certificate(threshold=None)]) == ()
    assert [claim.within for claim in claims_of([GROUPS])] == [("topic", "law"), ("topic", "maths")]


def test_a_cascade_is_void_by_answers_that_it_gave(
    watching: Callable[[Promise], Watch], certified: Path
) -> None:
    watch = watching(CASCADE)
    assert noted(watch, 200, 0.5, 1.0, prefix="passed-on", model="small") == []
    assert noted(watch, 200, 0.3, 1.0, prefix="kept-back", model="large") == []
    assert noted(watch, 200, 0.9, 1.0, prefix="other", model="huge") == []
    (one,) = watch.standing().promises
    assert (one.answered, one.counted, one.void) == (0, 0, "")
    (text,) = noted(watch, 200, 0.5, 0.5, prefix="given", model="large")
    assert "The cascade of certified for alpha=0.1 is void" in text
    assert "answers of the cascade (small from 0.8000, large from 0.4000) were wrong" in text
    (void,) = load_manifest(certified).promises
    assert isinstance(void, CascadeCertificate)
    assert void.void is not None
    assert void.key == CASCADE.key
    assert text in void.summary
    policy = load_policy({"kind": "cascade", "on_void": "human"}, [void])
    assert policy.decide(Confidence(p=0.99), Situation(models_left=1)).action == "human"
    assert Validity(certified).why_void(CASCADE) == text


def test_a_group_is_void_alone(watching: Callable[[Promise], Watch], certified: Path) -> None:
    watch = watching(GROUPS)
    assert watch.columns == ("topic",)
    assert noted(watch, 300, 0.9, 0.05, prefix="maths", groups={"topic": "maths"}) == []
    assert noted(watch, 50, 0.9, 1.0, prefix="none") == []
    (text,) = noted(watch, 300, 0.9, 0.5, prefix="law", groups={"topic": "law"})
    assert "The certificate of certified within topic=law for alpha=0.1 is void" in text
    law, maths = watch.standing().promises
    assert law.void == text
    assert (maths.void, maths.counted, maths.errors) == ("", 300, 15)
    (kept,) = load_manifest(certified).promises
    assert isinstance(kept, GroupCertificates)
    assert [one.void is not None for one in kept.certificates.values()] == [True, False, False]
    policy = load_policy({"kind": "certified", "group": "law"}, [kept])
    assert policy.decide(Confidence(p=0.99), Situation()).action == "abstain"


def test_answers_that_are_given_and_wrong_are_a_share_of_all(
    watching: Callable[[Promise], Watch],
) -> None:
    watch = watching(WRONG)
    limit = answered_wrong_limit(WRONG)
    assert 0.05 < limit < 0.07
    assert noted(watch, 400, 0.3, 1.0, prefix="kept-back") == []  # not given
    assert noted(watch, 600, 0.9, 0.05, prefix="given") == []
    (one,) = watch.standing().promises
    assert (one.counted, one.errors) == (1000, 30)
    (text,) = noted(watch, 400, 0.9, 0.5, prefix="bad")
    assert "answers were given (p >= 0.5000) and wrong, more than the 5.9% that a sample" in text
    found = re.search(r"(\d+) of the latest (\d+) answers .*; of all 1,0\d\d, (\d+) were", text)
    assert found is not None
    assert int(found[1]) / int(found[2]) > 0.059  # of the quiet ones before, 30 of 1,000 were wrong
    assert "promised 5.0% on average" in text


def test_a_promise_on_average_is_not_broken_by_what_its_sample_stands_for() -> None:
    assert answered_wrong_limit(WRONG, 0.5) == pytest.approx(0.05, abs=0.001)
    half = WRONG.model_copy(update={"grader_false_pass": 0.5})
    assert answered_wrong_limit(half) == pytest.approx(2 * answered_wrong_limit(WRONG))


def test_a_book_of_before_takes_groups(watching: Callable[[Promise], Watch]) -> None:
    watch = watching(GROUPS)
    with watch.book.page() as page:
        page._database.execute("DROP TABLE groups")
    again = watching(GROUPS)
    assert noted(again, 20, 0.9, 0.0, prefix="law", groups={"topic": "law"}) == []
    assert again.standing().promises[0].counted == 20
