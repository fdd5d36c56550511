"""Certificates from scored files: independent rows, one estimator, the grader's mistakes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from ct_guard import risk
from ct_guard.errors import InputError, UsageError
from ct_guard.evaluation import read_scored
from ct_guard.evaluation.certify import (
    certify,
    drawn_answers,
    first_answers,
    independent,
)
from ct_guard.store import Manifest, load_manifest, load_questions
from ct_guard.workflows.recording import save_certificate

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def manifest(estimator: Path) -> Manifest:
    return load_manifest(estimator)


def test_several_answers_to_a_question_are_refused_until_one_is_chosen(
    write: Write, make_rows: MakeRows
) -> None:
    scored = read_scored(write("s.jsonl", make_rows(60, answers=3)), need="logit")
    with pytest.raises(InputError, match=r"line 2: .*60 rows answer 20 questions.*`first`"):
        independent(scored)
    first = independent(first_answers(scored))
    assert [row.id for row in first.graded] == [f"q-{n}" for n in range(0, 60, 3)]
    drawn = drawn_answers(scored)
    assert len({row.question for row in drawn.graded}) == len(independent(drawn)) == 20
    assert {int((row.id or "")[2:]) % 3 for row in drawn.graded} == {0, 1, 2}
    assert [row.id for row in drawn_answers(scored).graded] == [row.id for row in drawn.graded]
    sample = read_scored(write("t.jsonl", make_rows(60, answers=3)), need="logit",
                         where={"sample": "1"})  # fmt: skip
    assert len(independent(sample)) == 20


def test_the_certificate_is_that_of_the_rows_and_names_them(
    write: Write, make_rows: MakeRows, manifest: Manifest
) -> None:
    scored = read_scored(write("s.jsonl", make_rows(2000, answers=1)), need="logit")
    found = certify(scored, manifest, alpha=0.1, delta=0.1)
    expected = risk.certify(expit(scored.logit), scored.correct, alpha=0.1, delta=0.1)
    assert found.threshold == expected.threshold is not None
    assert (found.answered, found.errors, found.n) == (expected.answered, expected.errors, 2000)
    assert len(found.split_hash) == 16


def test_a_lenient_grader_makes_the_threshold_stricter(
    write: Write, make_rows: MakeRows, manifest: Manifest
) -> None:
    scored = read_scored(write("s.jsonl", make_rows(3000, answers=1)), need="logit")
    plain = certify(scored, manifest, alpha=0.1, delta=0.1)
    found = certify(scored, manifest, alpha=0.1, delta=0.1, grader_false_pass=0.3)
    assert plain.threshold is not None
    assert found.threshold is not None
    assert found.threshold > plain.threshold
    assert (found.alpha, found.grader_false_pass) == (0.1, 0.3)
    assert risk.corrected_risk(found.errors / found.answered, 0.3) <= 0.1
    with pytest.raises(UsageError, match="false-pass rate"):
        certify(scored, manifest, alpha=0.1, delta=0.1, grader_false_pass=1.0)


def test_graded_labels_hide_errors_and_the_correction_holds_its_promise() -> None:
    """Labels of a grader that passes 30% of wrong answers: the true risk at the certified
    threshold exceeds alpha in most draws without the correction, and within delta with it."""
    broken = {0.0: 0, 0.3: 0}
    draws = 200
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        p = rng.random(800)
        right = rng.random(800) < p
        passed = right | (rng.random(800) < 0.3)
        for share in broken:
            found = risk.certify(p, passed, alpha=risk.graded_alpha(0.2, share), delta=0.1)
            if found.threshold is not None and (1 - found.threshold) / 2 > 0.2:
                broken[share] += 1
    assert broken[0.0] > 0.5 * draws
    assert broken[0.3] <= 0.1 * draws


def test_no_threshold_says_what_would_help(
    write: Write, make_rows: MakeRows, manifest: Manifest
) -> None:
    scored = read_scored(write("s.jsonl", make_rows(400, answers=1, bias=-3.0)), need="logit")
    found = certify(scored, manifest, alpha=0.05, delta=0.1, grader_false_pass=0.2)
    assert found.threshold is None
    for text in ("grade more rows", "raise alpha", "alpha=0.04 of the graded rows"):
        assert text in found.reason


def test_certificates_are_added_replaced_and_their_questions_recorded(
    write: Write, make_rows: MakeRows, estimator: Path, tmp_path: Path
) -> None:
    scored = read_scored(write("s.jsonl", make_rows(2000, answers=1)), need="logit")
    fewer = scored.take(range(1000))
    manifest = load_manifest(estimator)
    strict = certify(scored, manifest, alpha=0.05, delta=0.1)
    lenient = certify(scored, manifest, alpha=0.2, delta=0.1)
    again = certify(fewer, manifest, alpha=0.05, delta=0.1)
    save_certificate(estimator, estimator, strict, scored)
    save_certificate(estimator, estimator, lenient, scored)
    assert load_manifest(estimator).certificates == (lenient, strict)
    save_certificate(estimator, tmp_path / "copy", again, fewer)
    written = load_manifest(tmp_path / "copy")
    assert written.certificates == (again, lenient)
    assert written.questions is not None
    assert len(load_questions(tmp_path / "copy" / written.questions)["certification"]) == 2000
    assert written.data["certification"] == again.split_hash
    assert load_manifest(estimator).certificates == (lenient, strict)


def computed(rows: list[dict[str, Any]], backend: str, form: str) -> list[dict[str, Any]]:
    return [row | {"backend": backend, "format": form, "noise": 0.2} for row in rows]


def test_a_certificate_says_what_its_logits_were_computed_in(
    write: Write, make_rows: MakeRows, manifest: Manifest
) -> None:
    rows = computed(make_rows(200, answers=1), "llama_cpp", "Q4_1")
    scored = read_scored(write("s.jsonl", rows), need="logit")
    found = certify(scored, manifest, alpha=0.3, delta=0.1)
    assert str(found.arithmetic) == "llama_cpp in Q4_1, noise 0.2 logits"


def test_rows_of_files_that_do_not_say_it_are_certified_without(
    write: Write, make_rows: MakeRows, manifest: Manifest
) -> None:
    scored = read_scored(write("s.jsonl", make_rows(200, answers=1)), need="logit")
    assert certify(scored, manifest, alpha=0.3, delta=0.1).arithmetic is None


def test_rows_of_two_arithmetics_are_refused(
    write: Write, make_rows: MakeRows, manifest: Manifest
) -> None:
    rows = make_rows(200, answers=1)
    mixed = computed(rows[:90], "transformers", "float32") + computed(
        rows[90:], "transformers", "bfloat16"
    )
    scored = read_scored(write("s.jsonl", mixed), need="logit")
    with pytest.raises(InputError, match=r"float32.* and .*bfloat16.*score them all in the same"):
        certify(scored, manifest, alpha=0.3, delta=0.1)
