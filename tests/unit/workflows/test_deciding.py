"""`calibrate_decisions`: into a file for others' models, into a copy for an estimator's own."""

import json
from pathlib import Path
from typing import Any

import pytest

from ct_guard import CalibrateDecisionsConfig, calibrate_decisions, load_estimator
from ct_guard.decisions import decisions_of, load_decisions
from ct_guard.errors import CtGuardError, FieldError, InputError, OutputExistsError
from ct_guard.store import load_manifest
from ct_guard.testing import FakeBackend
from tests.unit.decisions.known import RISKY, TEAM, as_row, graded


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    rows = [*graded(RISKY, 200), *graded(TEAM, 200)]
    return write(tmp_path / "logged.jsonl", [*map(as_row, rows)])


def test_anybodys_decisions_become_a_file(logged: Path, tmp_path: Path) -> None:
    config = CalibrateDecisionsConfig(alpha=0.3)
    made = calibrate_decisions(logged, tmp_path / "decisions.json", config)
    assert (made.labels, made.scored) == (400, 0)
    read = load_decisions(tmp_path / "decisions.json")
    assert read == made.calibration
    assert read.by == "theirs"
    assert [set(one.certificates) for one in read.calibrators] == [{"yes", "no"}, {"*"}]
    with pytest.raises(OutputExistsError, match="exists"):
        calibrate_decisions(logged, tmp_path / "decisions.json", config)


def test_an_estimators_decisions_become_its_copy_without_a_model_where_they_were_logged(
    tiny_estimator: Path, tmp_path: Path
) -> None:
    scorer = load_manifest(tiny_estimator).scorer
    rows = [*map(as_row, graded(RISKY, 100, by=scorer))]
    source = write(tmp_path / "logged.jsonl", rows)
    config = CalibrateDecisionsConfig(estimator=tiny_estimator)
    made = calibrate_decisions(source, tmp_path / "mine", config)
    manifest = load_manifest(tmp_path / "mine")
    assert manifest.decisions in manifest.files
    assert manifest.certificates == load_manifest(tiny_estimator).certificates
    assert load_decisions(tmp_path / "mine" / str(manifest.decisions)) == made.calibration
    again = CalibrateDecisionsConfig(estimator=tmp_path / "mine")
    write(source, rows[:50])
    calibrate_decisions(source, tmp_path / "again", again)
    assert len(list((tmp_path / "again").glob("decisions-*.json"))) == 1


def test_what_was_not_scored_is_read_by_the_estimator(tiny_estimator: Path, tmp_path: Path) -> None:
    bare = [as_row(row) | {"scores": None, "by": None} for row in graded(TEAM, 20)]
    source = write(tmp_path / "rows.jsonl", bare)
    made = calibrate_decisions(
        source, tmp_path / "mine", CalibrateDecisionsConfig(estimator=tiny_estimator)
    )
    assert made.scored == 20
    loaded = load_estimator(tmp_path / "mine")
    found = decisions_of(loaded)
    loaded.close()
    assert found == made.calibration
    assert decisions_of(load_estimator("zero-shot", base="any", backend=FakeBackend())) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scores": None}, "line 1: no 'scores' and no 'probabilities'"),
        (
            {"by": "another"},
            "line 2: field 'by': these scores are theirs's, and those of .*another",
        ),
    ],
)
def test_scores_that_cannot_serve_are_named(
    change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    rows = [*map(as_row, graded(RISKY, 20))]
    source = write(tmp_path / "rows.jsonl", [rows[0] | change, *rows[1:]])
    with pytest.raises(InputError, match=says):
        calibrate_decisions(source, tmp_path / "out.json", CalibrateDecisionsConfig())


def test_another_models_scores_are_not_an_estimators(
    tiny_estimator: Path, logged: Path, tmp_path: Path
) -> None:
    config = CalibrateDecisionsConfig(estimator=tiny_estimator)
    with pytest.raises(InputError, match=r"line 1: field 'by': .* it reads the row itself"):
        calibrate_decisions(logged, tmp_path / "mine", config)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("field", ["alpha", "delta"])
def test_shares_lie_between_0_and_1(field: str) -> None:
    given: dict[str, Any] = {field: 1.5}
    with pytest.raises(FieldError, match=f"`{field}` must be between 0 and 1"):
        CalibrateDecisionsConfig(**given)


def test_a_file_that_is_no_calibration_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(CtGuardError, match="holds no calibration of decisions"):
        load_decisions(tmp_path / "x.json")
