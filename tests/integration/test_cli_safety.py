"""What must not happen: lost work, mixed runs, scores from a damaged or wrong model, tracebacks."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ct_guard.cli import cli
from ct_guard.errors import CtGuardError
from ct_guard.estimators import Estimator
from ct_guard.workflows.runs.journal import journal_path
from tests.commands import ct_guard
from tests.full_disks import files_end_at


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def refusal(*arguments: str | Path) -> str:
    """The one-line error that a command ends with."""
    result = run(*arguments)
    assert isinstance(result.exception, CtGuardError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    rows = [{"question": f"What is {n} plus 1?", "answer": str(n + 1)} for n in range(10)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def interrupted(
    answers: Path, tiny_estimator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The output of a run that was stopped after its first chunk, under policy 0.5."""
    output = tmp_path / "scored.jsonl"
    score = Estimator.score
    calls: list[int] = []

    def dying(estimator: Estimator, items: Any) -> Any:
        calls.append(len(items))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return score(estimator, items)

    with monkeypatch.context() as patch:
        patch.setattr(Estimator, "score", dying)
        run("score", answers, "-e", tiny_estimator, "-o", output, "-p", "0.5")
    assert journal_path(output).exists()
    return output


def test_the_work_of_an_interrupted_run_is_not_thrown_away_unasked(
    interrupted: Path, answers: Path, tiny_estimator: Path
) -> None:
    said = refusal("score", answers, "-e", tiny_estimator, "-o", interrupted, "-p", "0.5")
    assert "--resume" in said
    assert "--overwrite" in said
    assert journal_path(interrupted).exists()


def test_a_run_is_not_resumed_under_another_policy(
    interrupted: Path, answers: Path, tiny_estimator: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"kind": "threshold", "threshold": 0.5, "below": "human"}')
    said = refusal(
        "score", answers, "-e", tiny_estimator, "-o", interrupted, "-p", policy, "--resume"
    )
    assert "policy" in said


def test_a_pipe_cannot_be_resumed(answers: Path, tiny_estimator: Path) -> None:
    assert "pipe" in refusal("score", answers, "-e", tiny_estimator, "--resume")


def test_the_table_survives_text_that_no_terminal_can_show(
    tiny_estimator: Path, tmp_path: Path
) -> None:
    source = tmp_path / "odd.jsonl"
    source.write_text('{"question": "What is \\ud800 \\u001b[31m 7?", "answer": "7"}\n')
    result = run("score", source, "-e", tiny_estimator, "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 0, result.output
    assert "\x1b[31m" not in result.output


def test_a_device_that_is_not_there_is_one_line(answers: Path, tiny_estimator: Path) -> None:
    import torch

    wrong = "cuda:99" if torch.cuda.is_available() else "cuda"
    if not torch.cuda.is_available():
        said = refusal("score", answers, "-e", tiny_estimator, "--device", wrong, "-o", "x.jsonl")
        assert "--device cpu" in said
    said = refusal("score", answers, "-e", tiny_estimator, "--device", "abacus", "-o", "x.jsonl")
    assert "abacus" in said


def edited(folder: Path, tmp_path: Path, **changes: Any) -> Path:
    """A copy of an estimator whose manifest says something else."""
    copy = tmp_path / "edited"
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    for key, value in changes.items():
        manifest[key] = value
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_ids": [5, 999_999]}, "vocabulary"),
        ({"label_ids": [-5, 3]}, "vocabulary"),
        ({"label_ids": [7, 7]}, "label"),
        ({"adapter": None, "activation": None}, "adapter"),
        ({"method": "zero-shot"}, "adapter"),
        ({"budget": 20}, "budget"),
        ({"query_hash": "0" * 64}, "uncertainty query"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    changes: dict[str, Any], message: str, answers: Path, tiny_estimator: Path, tmp_path: Path
) -> None:
    wrong = edited(tiny_estimator, tmp_path, **changes)
    assert message in refusal("score", answers, "-e", wrong, "-o", tmp_path / "x.jsonl")


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "chat_template.jinja"])
def test_a_base_that_was_changed_anywhere_is_refused(
    file: str, answers: Path, tiny_base: Path, tiny_estimator: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    content = bytearray((base / file).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1] = b" " if content[middle] != 32 else b"\n"
    (base / file).write_bytes(content)
    result = run("score", answers, "-e", tiny_estimator, "--base", base, "-o", tmp_path / "x.jsonl")
    assert isinstance(result.exception, CtGuardError), result.output
    assert not (tmp_path / "x.jsonl").exists()


@pytest.mark.parametrize(
    ("command", "target"),
    [
        (("split", "graded.jsonl", "-o", "parts"), "parts/tuning.jsonl"),
        (("baseline", "question_prior", "--graded", "graded.jsonl", "-o", "prior"), "prior"),
        (("baseline", "likelihood", "--base", "mini", "-o", "other"), "other"),
    ],
)
def test_without_room_the_file_and_the_way_on_are_named(
    command: tuple[str, ...], target: str, tmp_path: Path
) -> None:
    """Files may have 600 bytes."""
    rows = [
        {"question": f"What is {n} plus 1?", "answer": str(n + 1), "correct": n % 3 > 0}
        for n in range(80)
    ]
    (tmp_path / "graded.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with files_end_at(600):
        done = ct_guard(*command, folder=tmp_path)
    assert done.returncode == 2, done.stderr
    message = done.stderr.strip().splitlines()[-1]
    assert f"{target}: cannot be written: File too large: make room" in message
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [tmp_path / "graded.jsonl"]
