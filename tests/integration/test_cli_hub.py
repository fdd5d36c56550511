"""`ct-guard push`, `ct-guard pull` and `ct-guard grade --dataset`.

What the hub's library reads from the environment is settled when it is imported: whatever speaks to
a hub is a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ct_guard.errors import FieldError
from ct_guard.workflows.settings import place_of
from tests.commands import ct_guard
from tests.hub_server import running_hub
from tests.question_sets import write_lookalikes


def with_a_hub(
    *arguments: str | Path, environment: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
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
        run = partial(with_a_hub, environment=where)
        pushed = run("push", tiny_estimator, "me/tiny", "--base", "them/base")
        assert pushed.returncode == 0, pushed.stderr
        assert f"Pushed: {hub.url}/me/tiny/commit/" in pushed.stdout
        shown = run("inspect", "me/tiny@main")
        assert "them/base" in shown.stdout
        pulled = run("pull", "me/tiny", "-o", tmp_path / "tiny")
        assert pulled.returncode == 0, pulled.stderr
        refused = run("pull", "me/none", "-o", tmp_path / "none")
        assert refused.returncode == 2
        assert refused.stderr.startswith("Error: no repository 'me/none'")
        for result in (pushed, shown, pulled, refused):
            assert hub.token not in result.stdout + result.stderr
    where["HF_HUB_OFFLINE"] = "1"
    offline = run("inspect", "me/tiny@main")
    assert offline.returncode == 0, offline.stderr


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a look-alike of every set."""
    import datasets

    folder = tmp_path_factory.mktemp("sets")
    write_lookalikes(folder / "copies")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
        yield folder / "copies"


def grade(*arguments: str | Path, copies: Path) -> "subprocess.CompletedProcess[str]":
    answered = ("-m", "mini", "--max-tokens", "4")
    where = {"CT_GUARD_DATASETS": str(copies)}
    return ct_guard("grade", *arguments, *answered, warned="default", environment=where)


@pytest.mark.parametrize(
    ("arguments", "grader"),
    [
        (("--dataset", "gsm8k:test"), "numeric"),
        (("--dataset", "mmlu:anatomy:test", "--rendering", "choice"), "multiple_choice"),
        (("--dataset", "sciq:train", "--limit", "1"), "normalised"),
    ],
)
def test_mini_answers_a_set(
    copies: Path, tmp_path: Path, arguments: tuple[str, ...], grader: str
) -> None:
    out = tmp_path / "graded.jsonl"
    result = grade(*arguments, "-o", out, copies=copies)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    asked = [json.loads(line) for line in Path(f"{out}.questions.jsonl").read_text().splitlines()]
    assert [row["question"] for row in rows] == [row["question"] for row in asked]
    assert {row["grader"] for row in rows} == {grader}
    assert json.loads(Path(f"{out}.manifest.json").read_text())["source"] == arguments[1]


def test_an_interrupted_run_keeps_its_questions(copies: Path, tmp_path: Path) -> None:
    """Another set or limit must not take the file that the first command's --resume reads."""
    out = tmp_path / "graded.jsonl"
    other = ("--dataset", "sciq:train", "--limit", "1", "-o", out)
    assert grade("--dataset", "gsm8k:test", "-o", out, copies=copies).returncode == 0
    asked = Path(f"{out}.questions.jsonl")
    before = asked.read_bytes()
    out.unlink()
    Path(f"{out}.journal").write_text("{}\n")
    for more in ((), ("--resume",), ("--resume", "--overwrite")):
        refused = grade(*other, *more, copies=copies)
        assert refused.returncode == 2
        assert "an interrupted run began with these questions" in refused.stderr
        assert asked.read_bytes() == before
    assert grade(*other, "--overwrite", copies=copies).returncode == 0
    assert asked.read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--shots", "2"), "--shots is for the sets by name"),
        (("--dataset-dir", "."), "--dataset-dir is for the sets by name"),
        (("--rendering", "choice"), "needs the field of the choices"),
    ],
)
def test_options_that_would_change_nothing_are_refused(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = ct_guard(
        "grade", "--dataset", "me/set:test", "--question-field", "q", "--answer-field", "a",
        *arguments, "-m", "mini", "-o", tmp_path / "x.jsonl",
    )  # fmt: skip
    assert result.returncode == 2
    assert said in result.stderr


def test_what_was_fetched_is_changed_in_a_copy_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CT_GUARD_CACHE", str(tmp_path / "cache"))
    for fetched in ("cache/abc", "hub/models--me--tiny/snapshots/123"):
        with pytest.raises(FieldError, match="write a copy with `output`"):
            place_of(tmp_path / fetched, None)
        assert place_of(tmp_path / fetched, "mine") == Path("mine")
    assert place_of(tmp_path / "own", None) == tmp_path / "own"


def test_a_file_or_a_set(tmp_path: Path) -> None:
    result = ct_guard("grade")
    assert result.returncode == 2
    assert "give a file, or name a question set with --dataset" in result.stderr
