"""Files of records: scored and graded field by field."""

import json
from pathlib import Path
from typing import Any

import pytest

from ct_guard import Estimator, GradeConfig, ScoreConfig, grade, load_estimator, score
from ct_guard.errors import FieldError
from ct_guard.testing import FakeBackend

ROWS: list[dict[str, Any]] = [
    {
        "question": "Who?",
        "answer": {"town": "Selby", "job": "baker", "n": 3},
        "gold": {"town": "Kelso", "job": "Baker", "n": "3", "pet": "cat"},
    },
    {"question": "Who else?", "answer": '{"town": "Kelso"}', "gold": '{"town": "Kelso"}'},
    {"question": "What is 2 plus 2?", "answer": "4", "gold": '{"town": "Kelso"}'},
]


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    backend = FakeBackend(logit=lambda text: -3.0 if "Selby" in text else 3.0)
    return load_estimator("zero-shot", base="any", backend=backend)


@pytest.fixture
def graded(tmp_path: Path) -> Path:
    source = tmp_path / "records.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    grade(source, tmp_path / "graded.jsonl", GradeConfig(fields=()))
    return tmp_path / "graded.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_grading_says_of_each_field_whether_it_is_right(graded: Path) -> None:
    first, second, third = read(graded)
    assert first["fields_correct"] == {"town": False, "job": True, "n": True, "pet": False}
    assert (first["correct"], first["grade_reason"]) == (False, "wrong: town, pet")
    assert (second["correct"], second["fields_correct"]) == (True, {"town": True})
    assert (third["correct"], third["fields_correct"]) == (False, None)


def test_scoring_says_of_each_field_how_likely_it_is_right(
    graded: Path, estimator: Estimator
) -> None:
    output = graded.with_name("scored.jsonl")
    score(graded, output, ScoreConfig(estimator=estimator, fields=()))
    first, second, third = read(output)
    assert first["answer"] == ROWS[0]["answer"]
    assert list(first["fields"]) == ["town", "job", "n"]
    assert first["fields"]["town"]["p"] < 0.1 < 0.9 < first["fields"]["job"]["p"]
    assert first["fields"]["n"]["kind"] == "number"
    assert {one["action"] for one in first["fields"].values()} == {"pass"}
    assert first["fields_scorer"] == second["fields_scorer"] == estimator.manifest.field_scorer
    assert third["fields"] is None
    assert third["confidence"] is not None


def test_paths_and_a_policy_decide_what_is_judged_and_what_becomes_of_it(
    graded: Path, estimator: Estimator, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"kind": "fields", "threshold": 0.5, "paths": ["town", "pet"]}')
    output = tmp_path / "scored.csv"
    score(graded, output, ScoreConfig(estimator=estimator, policy=str(policy)))
    again = tmp_path / "again.jsonl"
    score(output, again, ScoreConfig(estimator=estimator, fields=("town",)))
    told = json.loads(read(again)[0]["input_fields"])
    assert {path: one["action"] for path, one in told.items()} == {"town": "review", "pet": "pass"}
    assert told["pet"]["kind"] == "missing"
    assert list(read(again)[0]["fields"]) == ["town"]


def test_settings_that_exclude_each_other_are_refused(
    graded: Path, estimator: Estimator, tmp_path: Path
) -> None:
    with pytest.raises(FieldError, match="only_failed"):
        ScoreConfig(fields=(), only_failed=True)
    policy = tmp_path / "policy.json"
    policy.write_text('{"kind": "fields", "paths": ["town"]}')
    config = ScoreConfig(estimator=estimator, policy=str(policy), fields=("job",))
    with pytest.raises(FieldError, match="leave one out"):
        score(graded, tmp_path / "out.jsonl", config)
    with pytest.raises(FieldError, match="`fields` is for"):
        grade(graded, tmp_path / "out.jsonl", GradeConfig(grader="exact", fields=()))
