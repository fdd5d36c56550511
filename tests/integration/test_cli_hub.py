"""`ct-guard push`, `ct-guard pull` and `ct-guard grade --dataset`, as processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub_server import running_hub
from tests.question_sets import write_lookalikes


def ct_guard(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ct_guard", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )


def test_push_inspect_pull(tiny_estimator: Path, tmp_path: Path) -> None:
    with running_hub() as hub:
        where = {
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": hub.token,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(tmp_path / "home"),
        }
        pushed = ct_guard("push", tiny_estimator, "me/tiny", "--base", "them/base", **where)
        assert pushed.returncode == 0, pushed.stderr
        assert f"Pushed: {hub.url}/me/tiny/commit/" in pushed.stdout
        shown = ct_guard("inspect", "me/tiny@main", **where)
        assert "them/base" in shown.stdout
        pulled = ct_guard("pull", "me/tiny", "-o", tmp_path / "tiny", **where)
        assert pulled.returncode == 0, pulled.stderr
        refused = ct_guard("pull", "me/none", "-o", tmp_path / "none", **where)
        assert refused.returncode == 2
        assert refused.stderr.startswith("Error: no repository 'me/none'")
        for result in (pushed, shown, pulled, refused):
            assert hub.token not in result.stdout + result.stderr
    offline = ct_guard("inspect", "me/tiny@main", **{**where, "HF_HUB_OFFLINE": "1"})
    assert offline.returncode == 0, offline.stderr


@pytest.mark.parametrize(
    ("arguments", "grader"),
    [
        (("--dataset", "gsm8k:test"), "numeric"),
        (("--dataset", "mmlu:anatomy:test", "--rendering", "choice"), "multiple_choice"),
        (("--dataset", "sciq:train", "--limit", "1"), "normalised"),
    ],
)
def test_mini_answers_a_set(tmp_path: Path, arguments: tuple[str, ...], grader: str) -> None:
    write_lookalikes(tmp_path / "copies")
    out = tmp_path / "graded.jsonl"
    result = ct_guard(
        "grade", *arguments, "-m", "mini", "--max-tokens", "4", "-o", out,
        CT_GUARD_DATASETS=str(tmp_path / "copies"), HF_HOME=str(tmp_path / "home"),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    asked = [json.loads(line) for line in Path(f"{out}.questions.jsonl").read_text().splitlines()]
    assert [row["question"] for row in rows] == [row["question"] for row in asked]
    assert {row["grader"] for row in rows} == {grader}
    assert json.loads(Path(f"{out}.manifest.json").read_text())["source"] == arguments[1]


def test_a_file_or_a_set(tmp_path: Path) -> None:
    result = ct_guard("grade")
    assert result.returncode == 2
    assert "give a FILE, or name a question set with --dataset" in result.stderr
