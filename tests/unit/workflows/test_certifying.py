"""A threshold with a guarantee, and all that it rests on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard import CertifyConfig, certify
from ct_guard.errors import FieldError, InputError, UsageError
from ct_guard.store import load_manifest

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def source(write: Write, make_rows: MakeRows) -> Path:
    return write("certification.jsonl", make_rows(600, answers=2, signal=4.0))


def test_one_answer_a_question_counts(source: Path, estimator: Path) -> None:
    with pytest.raises(InputError, match="rows to certify must be independent"):
        certify(source, CertifyConfig(estimator=estimator))
    by_column = certify(source, CertifyConfig(estimator=estimator, where={"sample": "0"}))
    first = certify(source, CertifyConfig(estimator=estimator, first=True))
    assert by_column.certificate.n == first.certificate.n == 300
    assert by_column.certificate.threshold == first.certificate.threshold is not None


def test_models_of_which_no_answer_counts_are_named(
    write: Write, make_rows: MakeRows, estimator: Path
) -> None:
    rows = make_rows(600, answers=2, signal=4.0)
    for at, row in enumerate(rows):
        row["model"] = ("m-first", "m-second")[at % 2]
    source = write("by-model.jsonl", rows)
    first = certify(source, CertifyConfig(estimator=estimator, first=True))
    assert "1 of 2 answering models have no answer" in "".join(first.remarks)
    assert "m-second" in "".join(first.remarks)
    drawn = certify(source, CertifyConfig(estimator=estimator, drawn=True))
    assert drawn.certificate.n == first.certificate.n == 300
    assert "have no answer" not in "".join(drawn.remarks)
    assert "mix of 2 answering models" in "".join(drawn.remarks)
    with pytest.raises(FieldError, match="exclude each other"):
        certify(source, CertifyConfig(estimator=estimator, drawn=True, first=True))


def test_the_certificate_stands_in_the_estimator_or_in_a_copy(
    source: Path, estimator: Path, tmp_path: Path
) -> None:
    config = CertifyConfig(estimator=estimator, output=tmp_path / "copy", first=True)
    made = certify(source, config)
    assert made.folder == tmp_path / "copy"
    assert load_manifest(made.folder).certificates == (made.certificate,)
    assert load_manifest(estimator).certificates == ()


def test_the_one_of_before_is_replaced_and_named(source: Path, estimator: Path) -> None:
    config = CertifyConfig(estimator=estimator, first=True)
    before = certify(source, config).certificate
    again = certify(source, config)
    assert f"P(correct) >= {before.threshold:.4f}." in "".join(again.remarks)
    assert load_manifest(estimator).certificates == (again.certificate,)


def test_no_threshold_is_a_result_with_its_reason(source: Path, estimator: Path) -> None:
    made = certify(source, CertifyConfig(estimator=estimator, first=True, alpha=0.001))
    assert made.certificate.threshold is None
    assert made.certificate.reason


def test_what_the_grader_passes_makes_it_stricter(source: Path, estimator: Path) -> None:
    trusted = certify(source, CertifyConfig(estimator=estimator, first=True))
    assert any("`grader_false_pass`" in line for line in trusted.remarks)
    wary = certify(source, CertifyConfig(estimator=estimator, first=True, grader_false_pass=0.2))
    assert wary.certificate.threshold is not None
    assert trusted.certificate.threshold is not None
    assert wary.certificate.threshold >= trusted.certificate.threshold
    assert "Of wrong answers, the grader is taken to pass 20.0%." in wary.remarks
    with pytest.raises(UsageError, match="neither a number nor a graded file"):
        certify(source, CertifyConfig(estimator=estimator, grader_false_pass="5%"))


def test_what_the_promise_does_not_cover_is_said(
    write: Write, make_rows: MakeRows, estimator: Path
) -> None:
    rows = make_rows(150, answers=1, model="one") + make_rows(
        150, answers=1, model="two", prefix="p"
    )
    ungraded = {**rows[0], "question": "new?", "correct": None}
    source = write("mixed.jsonl", [*({**row, "correct": True} for row in rows), ungraded])
    said = "\n".join(certify(source, CertifyConfig(estimator=estimator)).remarks)
    assert "All 300 graded answers are right" in said
    assert "1 scored rows have no grade" in said
    assert "this mix of 2 answering models" in said
