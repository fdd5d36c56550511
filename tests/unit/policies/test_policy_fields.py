"""What becomes of each field."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from ct_guard.errors import PolicyError
from ct_guard.policies import FieldRule, Fields, Situation, Threshold, load_policy
from ct_guard.promises import FieldCertificate
from ct_guard.records import Confidence, FieldConfidence

CERTIFICATE = FieldCertificate(
    alpha=0.02, delta=0.1, threshold=0.9, n=300, fields=900, filled=600, errors=3
)


def confidence(p: float | None = 0.9, **fields: float | None) -> Confidence:
    judged = {
        name.replace("__", "."): FieldConfidence(p=value, kind="text")
        for name, value in fields.items()
    }
    return Confidence(p=p, fields=judged)


def actions(policy: Fields, given: Confidence, **situation: object) -> dict[str, str] | None:
    decision = policy.decide(given, Situation(**situation))  # type: ignore[arg-type]
    return None if decision.fields is None else dict(decision.fields)


def test_fields_pass_from_the_threshold_on() -> None:
    policy = Fields(threshold=0.8)
    given = confidence(a=0.8, b=0.79, c=None)
    assert actions(policy, given) == {"a": "pass", "b": "review", "c": "review"}


def test_without_a_threshold_all_pass() -> None:
    assert actions(Fields(), confidence(a=0.01, b=None)) == {"a": "pass", "b": "pass"}


def test_the_longest_rule_that_fits_counts() -> None:
    rules = {
        "invoice": FieldRule(below="drop"),
        "invoice.total": FieldRule(threshold=0.95),
        "invoice.note": FieldRule(threshold=0.1),
    }
    policy = Fields(threshold=0.5, rules=rules)
    given = confidence(invoice__total=0.9, invoice__due=0.4, invoice__note=0.2, other=0.4)
    assert actions(policy, given) == {
        "invoice.total": "review",
        "invoice.due": "drop",
        "invoice.note": "pass",
        "other": "review",
    }


def test_a_rule_of_a_group_is_for_every_place_of_a_list() -> None:
    fields = {f"items[{at}].price": FieldConfidence(p=0.5, kind="number") for at in range(2)}
    policy = Fields(threshold=0.9, rules={"items[].price": FieldRule(below="drop")})
    assert actions(policy, Confidence(p=1.0, fields=fields)) == dict.fromkeys(fields, "drop")


def test_a_field_may_have_the_answer_asked_for_once_more() -> None:
    policy = Fields(threshold=0.9, below="retry")
    first = policy.decide(confidence(a=0.5), Situation())
    assert (first.action, first.reason) == ("retry", "field a: p 0.500")
    again = policy.decide(confidence(a=0.5), Situation(retries=1))
    assert (again.action, again.fields) == ("pass", {"a": "review"})
    assert actions(policy, confidence(a=0.5), exhausted=True) == {"a": "review"}


def test_fields_are_decided_on_where_the_answer_passes() -> None:
    policy = Fields(policy=Threshold(threshold=0.7), threshold=0.5)
    decision = policy.decide(confidence(0.3, a=0.9), Situation())
    assert (decision.action, decision.fields) == ("abstain", None)
    assert policy.decide(confidence(0.8, a=0.9), Situation()).fields == {"a": "pass"}
    assert policy.decide(Confidence(p=0.8), Situation()).fields is None


def test_a_certificates_threshold_is_taken_by_default_and_by_name() -> None:
    for spec in ({"kind": "fields"}, {"kind": "fields", "alpha": 0.02}):
        policy = load_policy(spec, [CERTIFICATE])
        assert isinstance(policy, Fields)
        assert actions(policy, confidence(a=0.9, b=0.89)) == {"a": "pass", "b": "review"}
    own = load_policy({"kind": "fields", "threshold": 0.5}, [CERTIFICATE])
    assert isinstance(own, Fields)
    assert own.certificate is None


def test_a_certificate_that_is_not_there_is_named() -> None:
    with pytest.raises(PolicyError, match="certify --fields"):
        load_policy({"kind": "fields", "threshold": "certified"})
    none = CERTIFICATE.model_copy(update={"threshold": None, "reason": "too few"})
    with pytest.raises(PolicyError, match="too few"):
        load_policy({"kind": "fields", "alpha": 0.02}, [none])


def test_a_policy_file_holds_another_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text('{"kind": "fields", "threshold": 0.9, "policy": 0.5, "paths": ["a", "b[].c"]}')
    policy = load_policy(path)
    assert isinstance(policy, Fields)
    assert policy.paths == ("a", "b[].c")
    assert policy.name == "threshold 0.5, fields from 0.9"


def test_paths_and_rules_that_make_no_sense_are_refused() -> None:
    for spec in (
        {"kind": "fields", "paths": ["a..b"]},
        {"kind": "fields", "rules": {"": {}}},
        {"kind": "fields", "threshold": 2},
        {"kind": "fields", "policy": {"kind": "fields"}},
    ):
        with pytest.raises((PolicyError, ValidationError)):
            load_policy(spec)
