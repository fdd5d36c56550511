"""Figures of scored files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ct_guard.errors import InputError
from ct_guard.evaluation import evaluate, read_scored, remarks


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def scored_rows(count: int, *, informative: bool = True) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    rows = []
    for n in range(count):
        correct = bool(n % 2)
        p = float(np.clip(rng.normal(0.7 if correct and informative else 0.3, 0.2), 0, 1))
        row = {"question": f"q{n // 2}", "answer": f"a{n}", "correct": correct, "status": "ok"}
        rows.append({**row, "confidence": p, "estimator": "tiny"})
    return rows


def test_figures_are_those_of_the_field_with_intervals_around_them(tmp_path: Path) -> None:
    rows = scored_rows(400)
    scored = read_scored(write(tmp_path / "scored.jsonl", rows))
    figures = {figure.name: figure.interval for figure in evaluate(scored, resamples=200)}
    expected = roc_auc_score([r["correct"] for r in rows], [r["confidence"] for r in rows])
    assert figures["AUROC"].value == pytest.approx(expected)
    assert figures["accuracy of the answers"].value == pytest.approx(0.5)
    for interval in figures.values():
        assert interval.value is not None
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low <= interval.value <= interval.high


def test_rows_without_probability_or_grade_are_counted_not_guessed(tmp_path: Path) -> None:
    rows = scored_rows(40)
    rows[0] |= {"confidence": None, "status": "empty"}
    del rows[1]["correct"]
    scored = read_scored(write(tmp_path / "scored.jsonl", rows))
    assert (scored.rows, len(scored.p), scored.ungraded) == (40, 38, 1)
    assert scored.statuses == {"ok": 39, "empty": 1}


def test_it_says_in_words_when_answers_to_one_question_are_not_told_apart(tmp_path: Path) -> None:
    scored = read_scored(write(tmp_path / "s.jsonl", scored_rows(400, informative=False)))
    said = " ".join(remarks(scored, evaluate(scored, resamples=200)))
    assert "same question" in said
    assert "not above chance" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": 1.5}, "line 3: 'confidence' is 1.5"),
        ({"confidence": "high"}, "line 3: 'confidence' is 'high'"),
    ],
)
def test_a_confidence_that_is_no_probability_is_named(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    rows = scored_rows(6)
    rows[2] |= change
    with pytest.raises(InputError, match=message):
        read_scored(write(tmp_path / "scored.jsonl", rows))


def test_a_file_that_was_not_scored_or_graded_says_what_to_do(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.jsonl", [{"question": "q", "answer": "a", "correct": True}])
    with pytest.raises(InputError, match="score the file first"):
        read_scored(plain)
    ungraded = write(tmp_path / "b.jsonl", [{"question": "q", "answer": "a", "confidence": 0.5}])
    with pytest.raises(InputError, match="grade the answers"):
        read_scored(ungraded)
