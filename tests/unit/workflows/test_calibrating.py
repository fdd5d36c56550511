"""Calibrators from a scored file: into a copy of the estimator, or into another file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard import CalibrateConfig, calibrate
from ct_guard.errors import FieldError, InputError
from ct_guard.store import load_manifest, load_questions

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def source(write: Write, make_rows: MakeRows) -> Path:
    return write("calibration.jsonl", make_rows(400, scale=0.5, bias=-1.0, prefix="c"))


def test_a_copy_of_the_estimator_gets_them_and_remembers_the_questions(
    source: Path, estimator: Path, tmp_path: Path
) -> None:
    made = calibrate(source, tmp_path / "mine", CalibrateConfig(estimator=estimator, kind="platt"))
    assert (made.labels, made.questions, made.applied) == (400, 200, None)
    manifest = load_manifest(tmp_path / "mine")
    assert manifest.calibrators == made.calibration.calibrators
    assert manifest.calibrators["*"].kind == "platt"
    assert manifest.questions is not None
    assert len(load_questions(tmp_path / "mine" / manifest.questions)["calibration"]) == 200
    assert load_manifest(estimator).calibrators == {}


def test_another_scored_file_gets_new_confidences(
    source: Path, write: Write, make_rows: MakeRows, tmp_path: Path
) -> None:
    other = write("test.jsonl", make_rows(50, prefix="t"))
    made = calibrate(source, tmp_path / "new.jsonl", CalibrateConfig(apply=other))
    rows = [json.loads(line) for line in (tmp_path / "new.jsonl").read_text().splitlines()]
    assert made.applied == 50
    assert all(row["calibrated"] and "input_confidence" in row for row in rows)
    assert any("tuning questions are not known" in line for line in made.remarks)


def test_questions_that_a_file_shares_are_refused(
    source: Path, estimator: Path, tmp_path: Path
) -> None:
    config = CalibrateConfig(estimator=estimator, disjoint_from=(source,))
    with pytest.raises(InputError, match="shares 200 of 200 questions"):
        calibrate(source, tmp_path / "mine", config)
    assert not (tmp_path / "mine").exists()


def test_what_the_copy_loses_and_what_has_no_grade_is_said(
    write: Write, make_rows: MakeRows, estimator: Path, tmp_path: Path
) -> None:
    rows = make_rows(200)
    source = write("scored.jsonl", [*rows, {**rows[0], "question": "new?", "correct": None}])
    made = calibrate(source, tmp_path / "mine", CalibrateConfig(estimator=estimator))
    assert "1 scored rows have no grade and do not count." in made.remarks


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give `estimator`.*`evidence`"),
        ({"apply": "x.jsonl", "logprobs": True}, "`logprobs` needs `estimator`"),
        ({"apply": "x.jsonl", "estimator": "mini", "logprobs": True}, "without `apply`"),
    ],
)
def test_fields_that_do_not_fit_each_other_are_no_configuration(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises(FieldError, match=said):
        CalibrateConfig(**given)


def test_only_a_hybrid_learns_from_log_probabilities(
    source: Path, estimator: Path, tmp_path: Path
) -> None:
    with pytest.raises(FieldError, match="of the method likelihood, not a hybrid"):
        calibrate(source, tmp_path / "mine", CalibrateConfig(estimator=estimator, logprobs=True))
