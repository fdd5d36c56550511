"""Policies by what users write, and one line for whatever cannot be meant."""

import json
from pathlib import Path
from typing import Any

import pytest

from ct_guard.certificates import Certificate
from ct_guard.errors import PolicyError
from ct_guard.policies import (
    Annotate,
    Budget,
    Certified,
    Escalate,
    Retry,
    Review,
    Threshold,
    ToolGate,
    default_policy,
    load_policy,
)

STRICT = Certificate(alpha=0.05, delta=0.1, threshold=0.8, n=50, answered=10, errors=0)
LOOSE = Certificate(alpha=0.2, delta=0.1, threshold=0.4, n=50, answered=30, errors=3)
FAILED = Certificate(
    alpha=0.01, delta=0.1, threshold=None, n=50, answered=0, errors=0, reason="too few rows"
)


@pytest.mark.parametrize("spec", [0.7, "0.7", {"kind": "threshold", "threshold": 0.7}])
def test_a_number_is_a_threshold(spec: Any) -> None:
    assert load_policy(spec) == Threshold(threshold=0.7)


@pytest.mark.parametrize("spec", [0, 1, "0", "1.0"])
def test_both_ends_are_thresholds(spec: Any) -> None:
    assert load_policy(spec) == Threshold(threshold=float(spec))


@pytest.mark.parametrize("spec", ["annotate", {"kind": "annotate"}])
def test_annotate_is_a_word(spec: Any) -> None:
    assert load_policy(spec) == Annotate()


def test_a_file_holds_one_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text('{"kind": "escalate", "threshold": 0.3, "otherwise": "human"}')
    expected = Escalate(threshold=0.3, otherwise="human")
    assert load_policy(path) == load_policy(str(path)) == expected


@pytest.mark.parametrize(
    "policy",
    [
        Annotate(),
        Threshold(threshold=0.2, below="retry"),
        Escalate(threshold=0.4),
        Review(threshold=0.4, hopeless=0.1, allowed=("approve", "reject")),
        ToolGate(thresholds={"kind": 0.9}, default=0.1, answers=Threshold(threshold=0.3)),
        Budget(policy=Escalate(threshold=0.5), share=0.1, cost=3, prices=(1.0, 20.0), window=9),
        Retry(threshold=0.7, otherwise=Escalate(threshold=0.6, otherwise=Review(threshold=0.5))),
    ],
)
def test_what_a_policy_dumps_loads_again(policy: Any) -> None:
    assert load_policy(json.loads(policy.model_dump_json())) == policy


def test_the_whole_ladder_fits_into_one_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(
        """{"kind": "budget", "share": 0.2, "policy":
             {"kind": "retry", "threshold": 0.7, "times": 2, "otherwise":
               {"kind": "escalate", "threshold": 0.7, "otherwise":
                 {"kind": "review", "threshold": 0.7, "hopeless": 0.2}}}}"""
    )
    review = Review(threshold=0.7, hopeless=0.2)
    climb = Retry(threshold=0.7, times=2, otherwise=Escalate(threshold=0.7, otherwise=review))
    assert load_policy(path) == Budget(policy=climb, share=0.2)


def test_an_inner_policy_may_be_a_number_a_word_or_certified() -> None:
    gate = load_policy({"kind": "tools", "default": 0.5, "answers": 0.7})
    assert gate == ToolGate(default=0.5, answers=Threshold(threshold=0.7))
    retry = load_policy({"kind": "retry", "threshold": 0.9, "otherwise": "certified"}, [LOOSE])
    assert retry == Retry(threshold=0.9, otherwise=Certified(certificate=LOOSE))
    assert load_policy({"kind": "retry", "threshold": 0.9, "otherwise": "human"}) == Retry(
        threshold=0.9, otherwise="human"
    )


def test_certified_takes_the_first_certificate_that_passed() -> None:
    assert load_policy("certified", [FAILED, STRICT, LOOSE]) == Certified(certificate=STRICT)


def test_certified_by_its_promise() -> None:
    spec = {"kind": "certified", "alpha": 0.2, "delta": 0.1, "below": "human"}
    assert load_policy(spec, [STRICT, LOOSE]) == Certified(certificate=LOOSE, below="human")


def test_the_default_is_what_was_certified_else_annotate() -> None:
    assert default_policy([FAILED, LOOSE]) == Certified(certificate=LOOSE)
    assert default_policy([FAILED]) == default_policy([]) == Annotate()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (1.5, "between 0 and 1, not 1.5"),
        ("-0.1", "between 0 and 1, not -0.1"),
        (float("nan"), "between 0 and 1, not nan"),
        ("inf", "between 0 and 1, not inf"),
        (True, "a policy is a number"),
        (None, "a policy is a number"),
        ([0.7], "a policy is a number"),
        ("strict", "no policy 'strict': give a threshold"),
        ("x" * 5000, "give a threshold"),
        ({}, "unknown kind None: there are annotate, threshold, escalate, retry, review"),
        ({"kind": "vote"}, "unknown kind 'vote'"),
        ({"kind": ["threshold"]}, "unknown kind"),
        ({"kind": "threshold"}, "field 'threshold': Field required"),
        ({"kind": "threshold", "threshold": 2}, "field 'threshold'"),
        ({"kind": "threshold", "threshold": 0.5, "below": "shout"}, "field 'below'"),
        ({"kind": "threshold", "threshold": 0.5, "bellow": "pass"}, "field 'bellow'"),
        (
            {"kind": "escalate", "treshold": 0.5},
            "no field 'treshold': there are kind, threshold",
        ),
        ("policies/strict.json", "no policy file 'policies/strict.json': check the path"),
        ({"kind": "escalate", "threshold": 0.5, "keep": "all"}, "field 'keep'"),
        ({"kind": "retry", "threshold": 0.5, "times": 0}, "field 'times'"),
        ({"kind": "retry", "threshold": 0.5, "times": 11}, "field 'times'"),
        ({"kind": "retry", "threshold": 0.5, "otherwise": "shout"}, "no policy 'shout'"),
        ({"kind": "review", "threshold": 0.5, "allowed": []}, "field 'allowed'"),
        ({"kind": "tools", "thresholds": {"rm": 2}}, "field 'thresholds.rm'"),
        ({"kind": "tools", "answers": 7}, "between 0 and 1, not 7"),
        ({"kind": "tools", "answers": "human"}, "field 'answers'"),
        ({"kind": "budget", "policy": "annotate"}, "needs a share, a cost, or both"),
        ({"kind": "budget", "share": 0.1}, "field 'policy': Field required"),
        (
            {"kind": "budget", "share": 1, "policy": {"kind": "retry", "threshold": 2}},
            "policy: policy: field 'threshold'",
        ),
        ("certified", r"holds no such certificate \(it holds none\)"),
        ({"kind": "certified", "below": "shout"}, "field 'below'"),
        ({"kind": "certified", "beta": 1}, "field 'beta'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(spec: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        load_policy(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "threshold", "threshold": ...},
        {"kind": "escalate", "threshold": ...},
        {"kind": "tools", "thresholds": {"delete": ...}},
        {"kind": "tools", "default": ...},
        {"kind": "require", "policy": 0.9, "ood": ...},
    ],
)
def test_a_truth_value_is_no_threshold(spec: dict[str, Any], value: bool) -> None:
    given = json.loads(json.dumps(spec, default=lambda _: value))
    with pytest.raises(PolicyError, match="true and false are no probabilities"):
        load_policy(given)


def test_a_promise_that_nobody_made_lists_those_that_were() -> None:
    with pytest.raises(PolicyError, match=r"it holds alpha=0\.05 delta=0\.1, alpha=0\.2"):
        load_policy({"kind": "certified", "alpha": 0.3}, [STRICT, LOOSE])


def test_a_promise_that_could_not_be_kept_says_why() -> None:
    with pytest.raises(PolicyError, match="no threshold could be certified: too few rows"):
        load_policy("certified", [FAILED])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not valid JSON"),
        (b"\xff\xfe{", "is not valid JSON"),
        (b"[0.7]", "must hold one JSON object"),
        (b'{"kind": "threshold", "threshold": "high"}', r"policy\.json: field 'threshold'"),
        (b'{"kind": "threshold", "threshold": ' + b"9" * 400 + b"}", "out of range"),
        (b'{"kind": "retry", "otherwise": ' * 2000 + b"1" + b"}" * 2000, "nested more than"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "policy.json"
    path.write_bytes(content)
    with pytest.raises(PolicyError, match=message) as caught:
        load_policy(path)
    assert "policy.json" in str(caught.value)


def test_a_directory_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no policy"):
        load_policy(tmp_path)


def test_a_file_that_names_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"kind": "retry", "threshold": 0.5, "otherwise": str(path)}))
    with pytest.raises(PolicyError, match="nested"):
        load_policy(path)


@pytest.mark.parametrize("number", [10**400, -(10**400)])
def test_a_number_beyond_all_floats_is_no_threshold(number: int) -> None:
    for spec in (number, {"kind": "threshold", "threshold": number}):
        with pytest.raises(PolicyError):
            load_policy(spec)
