"""`certify` beyond the single threshold: several alphas, groups, wrong answers, cascades."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard import CertifyConfig, certify, load_policy
from ct_guard.errors import CtGuardError, FieldError, InputError, UsageError
from ct_guard.policies import Cascade, Certified, Cost
from ct_guard.promises import AnsweredWrong, CascadeCertificate, GroupCertificates, Handover
from ct_guard.store import load_manifest

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def small(write: Write, make_rows: MakeRows) -> Path:
    rows = make_rows(900, answers=1, signal=3.0, model="small")
    for number, row in enumerate(rows):
        row["subject"] = "law" if number % 3 else "maths" if number > 24 else "art"
    return write("small.jsonl", rows)


@pytest.fixture
def large(write: Write, make_rows: MakeRows) -> Path:
    return write("large.jsonl", make_rows(920, answers=1, signal=3.0, seed=2, model="large"))


def test_several_alphas_are_a_certificate_each(small: Path, estimator: Path) -> None:
    made = certify(small, CertifyConfig(estimator=estimator, alpha=(0.2, 0.1, 0.2)))
    assert [one.alpha for one in made.certificates] == [0.2, 0.1]
    assert load_manifest(estimator).certificates == made.certificates
    assert any("all 2 together with at least 0.8" in line for line in made.remarks)
    known = load_manifest(estimator).known
    strict = load_policy({"kind": "certified", "alpha": 0.1}, known)
    assert strict == Certified(certificate=made.certificates[1])


def test_groups_are_certified_together_and_small_ones_named(small: Path, estimator: Path) -> None:
    made = certify(small, CertifyConfig(estimator=estimator, by="subject", alpha=0.2))
    (promise,) = load_manifest(estimator).promises
    assert isinstance(promise, GroupCertificates)
    assert made.promises == (promise,)
    assert made.certificates == ()
    assert list(promise.certificates) == ["art", "law", "maths"]
    assert promise.certificates["law"].delta == 0.05
    assert promise.certificates["law"].threshold is not None
    said = "\n".join(made.remarks)
    assert "subject=art has no threshold: 9 rows are too few: 14" in said


def test_the_share_of_wrong_answers_is_another_promise(small: Path, estimator: Path) -> None:
    made = certify(small, CertifyConfig(estimator=estimator, answered_wrong=True, alpha=0.05))
    (promise,) = made.promises
    assert isinstance(promise, AnsweredWrong)
    assert promise.errors + 1 <= 0.05 * 901
    assert load_policy({"kind": "answered_wrong"}, load_manifest(estimator).known)
    with pytest.raises(CtGuardError, match="no such certificate"):
        load_policy("certified", load_manifest(estimator).known)


def test_a_cascade_is_one_promise_and_tells_what_asking_is_worth(
    small: Path, large: Path, estimator: Path
) -> None:
    config = CertifyConfig(estimator=estimator, cascade=[large], price=[0.1, 1.0], abstain=5.0)
    made = certify(small, config)
    cascade, handover = made.promises
    assert isinstance(cascade, CascadeCertificate)
    assert isinstance(handover, Handover)
    assert cascade.models == handover.models == ("small", "large")
    assert cascade.costs.prices == (0.1, 1.0)
    assert [one.model for one in cascade.stages] == ["small", "large"]
    assert any("20 questions have no graded answer of every model" in x for x in made.remarks)
    assert not any("the promise is not for them" in x for x in made.remarks)
    known = load_manifest(estimator).known
    assert load_policy({"kind": "cascade"}, known) == Cascade(certificate=cascade)
    spec = {"kind": "cost", "error": 20, "abstain": 5, "models": [{"price": 0.1}, {"price": 1}]}
    policy = load_policy(spec, known)
    assert isinstance(policy, Cost)
    assert policy.handover == handover


def test_promises_are_replaced_by_those_of_the_same_subject(
    small: Path, large: Path, estimator: Path
) -> None:
    for alpha in (0.1, 0.2, 0.1):
        certify(small, CertifyConfig(estimator=estimator, cascade=[large], alpha=alpha))
    kinds = [(one.kind, getattr(one, "alpha", None)) for one in load_manifest(estimator).promises]
    assert kinds == [("cascade", 0.1), ("handover", None), ("cascade", 0.2)]


def test_where_no_cascade_passes_what_asking_is_worth_is_kept(
    small: Path, large: Path, estimator: Path
) -> None:
    made = certify(small, CertifyConfig(estimator=estimator, cascade=[large], alpha=0.001))
    cascade, handover = made.promises
    assert isinstance(cascade, CascadeCertificate)
    assert cascade.stages == ()
    assert "grade more rows or raise alpha" in cascade.reason
    assert handover in load_manifest(estimator).promises


def test_one_sided_labels_are_told(
    write: Write, make_rows: MakeRows, small: Path, estimator: Path
) -> None:
    wrong = [row | {"correct": False} for row in make_rows(900, answers=1, seed=2, model="large")]
    made = certify(small, CertifyConfig(estimator=estimator, cascade=[write("w.jsonl", wrong)]))
    assert "All 900 graded answers of large are wrong." in made.remarks


def test_missing_labels_are_told_by_file(
    write: Write, make_rows: MakeRows, small: Path, estimator: Path
) -> None:
    rows = [{k: v for k, v in row.items() if k != "correct"} for row in make_rows(9, answers=1)]
    ungraded = write("ungraded.jsonl", rows)
    with pytest.raises(InputError, match=r"ungraded\.jsonl: no row has both a logit and a grade"):
        certify(small, CertifyConfig(estimator=estimator, cascade=[ungraded]))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"by": "subject", "answered_wrong": True}, FieldError, "`by` and `answered_wrong`"),
        ({"price": [1.0]}, FieldError, "`price` is for a `cascade`"),
        ({"alpha": ()}, FieldError, "`alpha` is empty"),
        ({"alpha": (0.1, 1.0)}, UsageError, "alpha must be in"),
        ({"delta": 0.0}, UsageError, "delta must be between 0 and 1"),
        ({"by": "colour"}, InputError, "no row has a column 'colour'"),
        ({"cascade": True, "price": [1.0]}, FieldError, "2 models need a price each, not 1"),
        ({"cascade": True, "price": [1.0, -1.0]}, FieldError, "`price` is a cost of at least 0"),
        ({"cascade": True, "abstain": -1.0}, FieldError, "`abstain` is a cost of at least 0"),
    ],
)
def test_what_cannot_be_meant_is_told(
    small: Path, large: Path, estimator: Path, change: dict[str, Any],
    error: type[Exception], said: str,
) -> None:  # fmt: skip
    given = change | ({"cascade": [large]} if "cascade" in change else {})
    with pytest.raises(error, match=said):
        certify(small, CertifyConfig(estimator=estimator, **given))
    assert load_manifest(estimator).known == ()
