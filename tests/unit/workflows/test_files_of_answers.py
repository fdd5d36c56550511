"""`score`, `grade`, `audit` and `baseline` on the embedded model: a chain of functions."""

import csv
import json
from pathlib import Path

import pytest

from ct_guard import (
    AuditConfig,
    BaselineConfig,
    GradeConfig,
    ScoreConfig,
    audit,
    baseline,
    grade,
    score,
)
from ct_guard.datasets import load_data_manifest
from ct_guard.errors import FieldError, OutputExistsError, PolicyError
from ct_guard.store import load_manifest
from tests.known_confidence import by_word_and_agreement
from tests.unit.workflows.conftest import Heard


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def answered(tmp_path: Path) -> Path:
    path = tmp_path / "answered.jsonl"
    rows = [
        {"question": f"What is {n} plus {n}?", "gold": str(2 * n), "answer": str(2 * n + n % 2)}
        for n in range(1, 21)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_grades_of_given_answers_and_their_counts(
    answered: Path, tmp_path: Path, heard: Heard
) -> None:
    made = grade(answered, tmp_path / "graded.jsonl", report=heard)
    assert (made.summary.right, made.summary.wrong) == (10, 10)
    assert made.remarks == ()
    assert heard.works == [("Grading", 20, "rows")]
    assert heard.done == 20
    assert [row["correct"] for row in lines(tmp_path / "graded.jsonl")] == [False, True] * 10


def test_grades_that_are_all_alike_are_remarked_on(answered: Path, tmp_path: Path) -> None:
    config = GradeConfig(grader="numeric", tolerance=0.9)
    (remark,) = grade(answered, tmp_path / "graded.jsonl", config).remarks
    assert remark.startswith("all graded answers are right")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            GradeConfig(tolerance=0.1),
            "`tolerance` is for `grader` numeric and fields: leave it out",
        ),
        (GradeConfig(limit=3), "belong to `dataset`"),
        (GradeConfig(dataset="sciq:train"), "one of them"),
        (GradeConfig(grader="judge"), "`judge` go together"),
        (GradeConfig(audit_out="x.csv"), "`audit_out` goes with `audit`"),
        (GradeConfig(spreadsheet=True), "`spreadsheet` is for an `output`"),
    ],
)
def test_fields_that_do_not_fit_are_refused_and_nothing_is_written(
    config: GradeConfig, said: str, answered: Path, tmp_path: Path
) -> None:
    with pytest.raises(FieldError, match=said):
        grade(answered, tmp_path / "graded.jsonl", config)
    assert list(tmp_path.iterdir()) == [answered]


def test_a_person_checks_the_grader(answered: Path, tmp_path: Path) -> None:
    graded, checked = tmp_path / "graded.jsonl", tmp_path / "check.csv"
    made = grade(answered, graded, GradeConfig(audit=8, audit_out=checked))
    assert (made.drawn, made.to_check) == (8, str(checked))
    again = AuditConfig(draw=6, overwrite=True)
    assert audit(graded, checked, again).drawn == 6
    with pytest.raises(OutputExistsError):
        audit(graded, checked, AuditConfig(draw=6))
    with checked.open() as file:
        rows = list(csv.DictReader(file))
    with checked.open("w") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "correct": row["answer"] == row["gold"]} for row in rows)
    found = audit(graded, checked)
    assert found.drawn is None
    assert found.audit is not None
    assert found.audit.right.overturned == found.audit.wrong.overturned == 0
    assert load_data_manifest(graded).audit == found.audit


def test_scores_are_written_and_what_to_know_is_told_before(
    answered: Path, tmp_path: Path, heard: Heard
) -> None:
    made = score(answered, tmp_path / "scored.jsonl", ScoreConfig(preview=3), report=heard)
    assert made.summary.rows == 20
    assert len(made.summary.preview) == 3
    assert heard.notes == list(made.remarks)
    assert heard.works == [("Scoring", 20, "rows")]
    assert heard.done == 20
    assert all(row["confidence"] is not None for row in lines(tmp_path / "scored.jsonl"))
    with pytest.raises(OutputExistsError):
        score(answered, tmp_path / "scored.jsonl")


def test_scores_of_two_runs_are_compared(answered: Path, tmp_path: Path) -> None:
    score(answered, tmp_path / "one.jsonl", ScoreConfig(policy=0.5))
    config = ScoreConfig(policy=0.5, compare_with=tmp_path / "one.jsonl", batch_size=3)
    made = score(answered, tmp_path / "two.jsonl", config)
    assert made.policy != "annotate"
    assert made.moved is not None
    assert made.moved.rows == 20
    assert made.moved.largest < 1e-3
    with pytest.raises(FieldError, match="`compare_with` reads the output again"):
        score(answered, "-", config)


def test_a_file_has_no_model_to_ask_for_further_answers(answered: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"kind": "resample", "policy": 0.7}')
    config = ScoreConfig(estimator=by_word_and_agreement(), policy=str(policy))
    with pytest.raises(PolicyError, match="a file of answers has no model to ask for further"):
        score(answered, tmp_path / "scored.jsonl", config)
    assert not (tmp_path / "scored.jsonl").exists()


def test_a_baseline_is_an_estimator_and_says_what_it_costs(tmp_path: Path) -> None:
    config = BaselineConfig(method="sampling", base="mini", samples=2, max_tokens=8)
    made = baseline(tmp_path / "mine", config)
    assert made.cost == "2 sampled answers a question, up to 8 new tokens each"
    assert load_manifest(tmp_path / "mine") == made.manifest
    assert made.manifest.name == "mine"


def test_the_question_prior_is_fitted_on_graded_rows(answered: Path, tmp_path: Path) -> None:
    grade(answered, tmp_path / "graded.jsonl")
    config = BaselineConfig(method="question_prior", graded=tmp_path / "graded.jsonl")
    made = baseline(tmp_path / "prior", config)
    assert made.manifest.figures == {"rows": 20, "questions": 20}
    assert made.cost is None
    with pytest.raises(FieldError, match="has no `base`"):
        BaselineConfig(method="question_prior", base="mini")
    with pytest.raises(FieldError, match="`label_orders` is for the baseline zero-shot"):
        baseline(
            tmp_path / "x",
            BaselineConfig(method="likelihood", base="mini", label_orders="both"),
        )
