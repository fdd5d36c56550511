"""Calibrators from scored files, written into estimators and other files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard.certificates import Certificate
from ct_guard.errors import CalibrationError, InputError
from ct_guard.evaluation import read_scored
from ct_guard.evaluation.calibrate import calibrate
from ct_guard.metrics import ece
from ct_guard.store import load_manifest, load_questions, question_hash, revise_estimator
from ct_guard.workflows.recalibration import apply_to_file, save_calibration

Write = Callable[[str, list[dict[str, Any]]], Path]
MakeRows = Callable[..., list[dict[str, Any]]]

HONEST = {"scale": 0.5, "bias": -1.0}


def rows_of_two_models(make_rows: MakeRows, count: int = 1000) -> list[dict[str, Any]]:
    timid = make_rows(count, model="timid", bias=2.0, prefix="a")
    brash = make_rows(count, model="brash", bias=-2.0, prefix="b", seed=5)
    return timid + brash


def test_each_answering_model_gets_its_own_and_a_common_one_serves_the_rest(
    write: Write, make_rows: MakeRows
) -> None:
    rows = rows_of_two_models(make_rows) + make_rows(30, model="rare", prefix="c")
    scored = read_scored(write("s.jsonl", rows), need="logit")
    found = calibrate(scored, kind="platt")
    assert set(found.calibrators) == {"*", "timid", "brash"}
    assert found.calibrators["timid"].params["b"] == pytest.approx(2.0, abs=0.4)
    assert found.calibrators["brash"].params["b"] == pytest.approx(-2.0, abs=0.4)
    assert found.calibrators["*"].n == 2030
    assert found.remarks[0].startswith("rare: 30 labels")
    assert set(calibrate(scored, kind="platt", per_model=False).calibrators) == {"*"}


def test_one_answering_model_needs_no_calibrator_of_its_own(
    write: Write, make_rows: MakeRows
) -> None:
    scored = read_scored(write("s.jsonl", make_rows(200, model="one")), need="logit")
    assert set(calibrate(scored).calibrators) == {"*"}


def test_what_cannot_be_learnt_from_names_the_file(write: Write, make_rows: MakeRows) -> None:
    rows = [row | {"correct": True} for row in make_rows(40)]
    scored = read_scored(write("s.jsonl", rows), need="logit")
    with pytest.raises(CalibrationError, match=r"s\.jsonl: all 40 rows are correct"):
        calibrate(scored)


def test_no_confidence_is_needed(write: Write, make_rows: MakeRows) -> None:
    rows = [{k: v for k, v in row.items() if k != "confidence"} for row in make_rows(100)]
    scored = read_scored(write("s.jsonl", rows), need="logit")
    assert calibrate(scored).calibrators["*"].n == 100


def test_a_calibrated_copy_records_its_questions_and_drops_what_was_of_the_old_probabilities(
    write: Write, make_rows: MakeRows, estimator: Path, tmp_path: Path
) -> None:
    tuned = {"tuning": frozenset({question_hash("t")}), "certification": frozenset({"abcdefgh"})}
    manifest = load_manifest(estimator).model_copy(
        update={
            "certificates": (
                Certificate(alpha=0.1, delta=0.1, threshold=0.6, n=9, answered=4, errors=0),
            ),
            "figures": {"ECE": 0.3},
            "data": {"tuning": "x", "certification": "y"},
        }
    )
    revise_estimator(estimator, estimator, manifest, questions=tuned)
    scored = read_scored(write("s.jsonl", make_rows(100)), need="logit")
    found = calibrate(scored)
    save_calibration(estimator, tmp_path / "new", found.calibrators, scored)
    new = load_manifest(tmp_path / "new")
    assert new.calibrators == found.calibrators
    assert (new.certificates, new.figures) == ((), {})
    assert set(new.data) == {"tuning", "calibration"}
    assert new.questions is not None
    splits = load_questions(tmp_path / "new" / new.questions)
    assert set(splits) == {"tuning", "calibration"}
    assert splits["calibration"] == {question_hash(key) for key in scored.question_keys()}
    assert load_manifest(estimator).certificates


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_another_file_gets_honest_confidences_and_keeps_the_old_ones(
    suffix: str, write: Write, make_rows: MakeRows, tmp_path: Path
) -> None:
    scored = read_scored(write("s.jsonl", make_rows(2000, **HONEST)), need="logit")
    calibrators = calibrate(scored, kind="platt").calibrators
    rows = make_rows(2000, **HONEST, prefix="new", seed=9)
    rows[3] |= {"logit": None, "confidence": None, "status": "refusal"}
    source, output = write("new.jsonl", rows), tmp_path / f"out.{suffix}"
    keys = scored.question_keys()
    assert apply_to_file(calibrators, str(source), str(output), fitted_on=keys) == 1999
    before, after = read_scored(source), read_scored(output)
    assert ece(before.p, before.correct) > 0.1
    assert ece(after.p, after.correct) < 0.04
    if suffix == "jsonl":
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        assert lines[0]["input_confidence"] == rows[0]["confidence"]
        assert (lines[0]["calibrated"], lines[0]["action"]) == (True, None)
        assert (lines[3]["confidence"], lines[3]["calibrated"]) == (None, False)


def test_rows_that_were_calibrated_on_are_refused_and_nothing_is_written(
    write: Write, make_rows: MakeRows, tmp_path: Path
) -> None:
    path = write("s.jsonl", make_rows(100))
    scored = read_scored(path, need="logit")
    calibrators, output = calibrate(scored).calibrators, tmp_path / "out.jsonl"
    with pytest.raises(InputError, match="line 1: the calibrators were fitted on"):
        apply_to_file(calibrators, str(path), str(output), fitted_on=scored.question_keys())
    assert not output.exists()
