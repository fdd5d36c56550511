"""Options of `ct-guard grade`: which are read beside which, and how models are loaded."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ct_guard.backends.transformers import TransformersBackend
from ct_guard.cli import cli
from ct_guard.datasets import load_data_manifest

REMOTE = ("-m", "m", "--url", "http://h/v1")


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps({"question": "What is 7 plus 5?", "gold": "12"}) + "\n")
    return path


@pytest.mark.parametrize(
    ("options", "option", "use"),
    [
        (("--url", "http://h/v1"), "--url", "--model"),
        (("--key-env", "X"), "--key-env", "--model"),
        (("--samples", "2"), "--samples", "--model"),
        (("--temperature", "0.7"), "--temperature", "--model"),
        (("--max-tokens", "64"), "--max-tokens", "--model"),
        (("--first-line",), "--first-line/--whole-answer", "--model"),
        (("--whole-answer",), "--first-line/--whole-answer", "--model"),
        (("--prompt", "x.jsonl"), "--prompt", "--model"),
        (("--seed", "0"), "--seed", "--samples"),
        (("-m", "mini", "--seed", "3"), "--seed", "--audit"),
        (("-m", "openai:gpt", "-k", "2", "--seed", "3"), "--seed", "LangChain"),
        (("-m", "mini", "--temperature", "0.7"), "--temperature", "--samples"),
        (("--tolerance", "0"), "--tolerance", "--grader numeric"),
        (("--tolerance", "0.1"), "--tolerance", "--grader numeric"),
        (("--judge-url", "http://h/v1"), "--judge-url", "--judge"),
        (("--judge-key-env", "X"), "--judge-key-env", "--judge"),
        (("-g", "exact", "--judge-url", "http://h/v1"), "--judge-url", "--judge"),
        (("--style", "raw"), "--style", "local"),
        (("--backend", "transformers"), "--backend", "local"),
        (("--device", "cpu"), "--device", "local"),
        (("--dtype", "auto"), "--dtype", "local"),
        (("--batch-size", "4"), "--batch-size", "local"),
        ((*REMOTE, "--device", "cpu"), "--device", "local"),
        ((*REMOTE, "--quantization", "8bit"), "--quantization", "local"),
        (("-m", "openai:gpt", "--quantization", "4bit"), "--quantization", "local"),
        (
            ("-m", "x.gguf", "--backend", "llama_cpp", "--quantization", "8bit"),
            "--quantization",
            "--backend transformers",
        ),
        (("--concurrency", "2"), "--concurrency", "remote"),
        (("-m", "mini", "--timeout", "9"), "--timeout", "remote"),
        (("-m", "mini", "--retries", "0"), "--retries", "remote"),
        (("--dataset-seed", "137"), "--dataset-seed", "--dataset"),
    ],
)
def test_an_option_that_nothing_would_read_is_refused(
    questions: Path, tmp_path: Path, options: tuple[str, ...], option: str, use: str
) -> None:
    output = tmp_path / "out.jsonl"
    done = CliRunner().invoke(cli, ["grade", str(questions), "-o", str(output), *options])
    assert done.exit_code == 2, done.output
    said = done.output.splitlines()[-1]
    assert said.startswith(f"Error: {option} is for ")
    assert use in said
    assert said.endswith("leave it out")
    assert not output.exists()


def test_a_local_judge_reads_the_options_of_local_models(tmp_path: Path) -> None:
    source, output = tmp_path / "answered.jsonl", tmp_path / "graded.jsonl"
    source.write_text('{"question": "What is 7 plus 5?", "gold": "12", "answer": "12"}\n')
    done = CliRunner().invoke(
        cli,
        ["grade", str(source), "-g", "judge", "--judge", "mini", "--device", "cpu",
         "--batch-size", "4", "-o", str(output)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert load_data_manifest(output).counts.rows == 1


@pytest.mark.parametrize(
    ("asked", "loaded"), [(None, None), ("none", None), ("8bit", "8bit"), ("4bit", "4bit")]
)
def test_the_bits_reach_the_loader_and_the_manifest(
    questions: Path,
    tmp_path: Path,
    tiny_base: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str | None,
    loaded: str | None,
) -> None:
    """No 8 bits without a GPU: the loader here notes what it was asked for, and loads them all."""
    noted: list[str | None] = []
    load = TransformersBackend.load

    def noting(base: Any, *, quantization: str | None = None, **rest: Any) -> TransformersBackend:
        noted.append(quantization)
        return load(base, **rest)

    monkeypatch.setattr(TransformersBackend, "load", noting)
    output = tmp_path / "out.jsonl"
    bits = () if asked is None else ("--quantization", asked)
    done = CliRunner().invoke(
        cli,
        ["grade", str(questions), "-m", str(tiny_base), "--max-tokens", "2", "--device", "cpu",
         "-o", str(output), *bits],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert noted == [loaded]
    manifest = load_data_manifest(output)
    assert manifest.answering["quantization"] == loaded
    assert manifest.answering["model"] == tiny_base.name
