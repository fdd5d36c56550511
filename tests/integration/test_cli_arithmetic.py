"""A threshold holds for logits of one arithmetic: what is scored in another one is told of."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ct_guard.cli import cli


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Graded sums, worded as no estimator was tuned or calibrated on them."""
    path = tmp_path / "answers.jsonl"
    rows = [
        {"question": f"So what is {n} plus 1?", "answer": str(n + 1 + n % 2), "correct": not n % 2}
        for n in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def scored(answers: Path, dtype: str, *more: object, estimator: object = "mini:query") -> Result:
    output = answers.with_name(f"{dtype}.jsonl")
    return run("score", answers, "-e", estimator, "--dtype", dtype, "-o", output, *more)


def test_scored_files_say_their_format_and_noise(answers: Path, tmp_path: Path) -> None:
    shown = scored(answers, "bfloat16")
    assert shown.exit_code == 0
    assert "computed" in shown.output
    assert "transformers in bfloat16, noise" in shown.output
    rows = [json.loads(line) for line in (tmp_path / "bfloat16.jsonl").read_text().splitlines()]
    assert {row["format"] for row in rows} == {"bfloat16"}
    assert all(0 < row["noise"] < 1 for row in rows)


def test_another_arithmetic_than_the_certificates_is_told_of_and_measured(
    answers: Path, tmp_path: Path
) -> None:
    assert scored(answers, "float32").exit_code == 0
    made = tmp_path / "mine"
    run("certify", tmp_path / "float32.jsonl", "-e", "mini:query", "-o", made, "--alpha", "0.5",
        "--first")  # fmt: skip
    inspected = run("inspect", made).output
    assert "on scores by transformers in float32" in inspected
    noise = next(line for line in inspected.splitlines() if line.startswith("noise"))
    assert "transformers in float32, noise" in noise
    again = scored(answers, "float32", "--overwrite", estimator=made)
    assert "was certified on scores by" not in again.output
    other = scored(
        answers, "bfloat16", "--compare-with", tmp_path / "float32.jsonl", estimator=made
    )
    assert "certified on scores by transformers in float32" in other.output
    assert "of the same rows: logits differ by" in other.output
    assert "Spearman" in other.output


def test_comparing_needs_a_file_to_read_again(answers: Path) -> None:
    found = run("score", answers, "-e", "mini:query", "--compare-with", answers)
    assert found.exit_code == 2
    assert "--output a file" in found.output
