"""`ct-guard score --backend llama_cpp` beside the default backend, on the embedded model."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ct_guard.cli import cli
from ct_guard.errors import BackendError, CtGuardError

ANSWERS = Path(__file__).parents[2] / "examples" / "answers.jsonl"


def score(target: Path, *options: str) -> list[dict[str, object]]:
    done = CliRunner().invoke(
        cli,
        ["score", str(ANSWERS), "-o", str(target), "--threads", "1", "-q", *options],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("estimator", ["mini", "mini:likelihood"])
def test_a_file_scores_as_on_transformers(tmp_path: Path, estimator: str) -> None:
    ours = score(tmp_path / "a.jsonl", "-e", estimator, "--backend", "llama_cpp")
    theirs = score(tmp_path / "b.jsonl", "-e", estimator)
    assert {row["backend"] for row in ours} == {"llama_cpp"}
    for one, other in zip(ours, theirs, strict=True):
        assert (one["id"], one["status"]) == (other["id"], other["status"])
        assert one["confidence"] == pytest.approx(other["confidence"], abs=0.01)


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    options: tuple[tuple[str, ...], ...] = (
        ("--base", str(tmp_path)),
        ("--base", str(ANSWERS)),
        ("--dtype", "bfloat16"),
    )
    for option in options:
        with pytest.raises(CtGuardError) as caught:
            score(tmp_path / "out.jsonl", "--backend", "llama_cpp", *option)
        assert "\n" not in str(caught.value)
        assert isinstance(caught.value, BackendError) == (option[0] == "--base")
