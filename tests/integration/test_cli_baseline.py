"""`ct-guard baseline` as it is typed, on the embedded model."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ct_guard.backends.transformers import TransformersBackend
from ct_guard.cli import cli
from ct_guard.errors import OutputExistsError
from ct_guard.store import load_manifest

ROWS = [
    {"question": f"What is {n} plus {n}?", "answer": str(2 * n), "correct": n % 3 > 0}
    for n in range(2, 8)
]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_a_directory_gives_its_name_and_only_an_estimator_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    made = ["baseline", "likelihood", "--base", "mini", "-o", str(folder)]
    assert CliRunner().invoke(cli, made).exit_code == 0
    assert load_manifest(folder).name == "mine"
    assert CliRunner().invoke(cli, made).exit_code != 0
    assert CliRunner().invoke(cli, [*made, "--overwrite"]).exit_code == 0
    (folder / "manifest.json").unlink()
    (folder / "me.png").write_bytes(b"x")
    refused = CliRunner().invoke(cli, [*made, "--overwrite"])
    assert isinstance(refused.exception, OutputExistsError)
    assert "is no estimator" in str(refused.exception)
    assert (folder / "me.png").exists()


def test_settings_and_cost_are_shown_kept_and_used(tmp_path: Path, rows: Path) -> None:
    folder, scored = str(tmp_path / "s"), str(tmp_path / "scored.jsonl")
    made = ["baseline", "sampling", "--base", "mini", "-k", "2", "--temperature", "0.5"]
    done = CliRunner().invoke(
        cli, [*made, "--seed", "3", "--max-tokens", "8", "-g", "numeric", "-o", folder]
    )
    assert done.exit_code == 0, done.output
    assert "2 sampled answers a question, up to 8 new tokens each" in done.output
    asking = load_manifest(Path(folder)).asking
    assert asking is not None
    assert (asking.samples, asking.temperature, asking.seed) == (2, 0.5, 3)
    shown = CliRunner().invoke(cli, ["inspect", folder]).output
    assert "k 2, temperature 0.5, seed 3, agreement by the grader numeric" in shown
    done = CliRunner().invoke(cli, ["score", str(rows), "-e", folder, "-o", scored])
    assert done.exit_code == 0, done.output
    assert "costs 2 sampled answers" in done.output
    found = [json.loads(line) for line in Path(scored).read_text().splitlines()]
    assert {row["status"] for row in found} == {"ok"}


def test_the_question_prior_needs_graded_rows_and_no_base(tmp_path: Path, rows: Path) -> None:
    target = str(tmp_path / "prior")
    wrong = CliRunner().invoke(cli, ["baseline", "question_prior", "--base", "mini", "-o", target])
    assert wrong.exit_code == 2
    assert "--graded" in wrong.output
    made = ["baseline", "question_prior", "--graded", str(rows), "-o", target]
    done = CliRunner().invoke(cli, made)
    assert done.exit_code == 0, done.output
    assert "6 answers to 6 questions" in done.output
    out = str(tmp_path / "out.jsonl")
    scored = CliRunner().invoke(cli, ["score", str(rows), "-e", target, "-o", out])
    assert scored.exit_code == 0, scored.output
    again = CliRunner().invoke(cli, ["calibrate", out, "-e", target, "-o", str(tmp_path / "c")])
    assert again.exit_code != 0
    assert "'tuning'" in str(again.exception)


@pytest.mark.parametrize(
    ("options", "option", "use"),
    [
        (("likelihood", "-k", "3"), "--samples", "sampling"),
        (("likelihood", "-g", "exact"), "--grader", "sampling"),
        (("perplexity", "--seed", "0"), "--seed", "sampling"),
        (("verbalized", "-k", "10"), "--samples", "sampling"),
        (("verbalized", "--max-tokens", "99"), "--max-tokens", "sampling"),
        (("verbalized", "--temperature", "1"), "--temperature", "sampling"),
        (("zero-shot", "--seed", "9"), "--seed", "sampling"),
        (("sampling", "--label-orders", "fixed"), "--label-orders", "zero-shot"),
        (("likelihood", "--label-orders", "both"), "--label-orders", "zero-shot"),
        (
            ("likelihood", "--backend", "llama_cpp", "--quantization", "8bit"),
            "--quantization",
            "--backend transformers",
        ),
    ],
)
def test_an_option_that_the_method_does_not_read_is_refused(
    tmp_path: Path, options: tuple[str, ...], option: str, use: str
) -> None:
    target = tmp_path / "made"
    done = CliRunner().invoke(cli, ["baseline", *options, "--base", "mini", "-o", str(target)])
    assert done.exit_code == 2, done.output
    said = done.output.splitlines()[-1]
    assert said.startswith(f"Error: {option} is for ")
    assert use in said
    assert not target.exists()


@pytest.mark.parametrize("option", [("--backend", "transformers"), ("--quantization", "8bit")])
def test_the_question_prior_takes_nothing_of_a_base(
    tmp_path: Path, rows: Path, option: tuple[str, str]
) -> None:
    target = tmp_path / "made"
    done = CliRunner().invoke(
        cli, ["baseline", "question_prior", "--graded", str(rows), *option, "-o", str(target)]
    )
    assert done.exit_code == 2, done.output
    assert f"{option[0]} is for baselines over a --base" in done.output
    assert not target.exists()


def test_the_bits_of_the_base_are_kept_and_used_again(
    tmp_path: Path, rows: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No 8 bits without a GPU: the loader here notes what it was asked for, and loads them all."""
    asked: list[str | None] = []
    load = TransformersBackend.load

    def noting(base: Any, *, quantization: str | None = None, **rest: Any) -> TransformersBackend:
        asked.append(quantization)
        return load(base, **rest)

    monkeypatch.setattr(TransformersBackend, "load", noting)
    folders = {bits: tmp_path / bits for bits in ("8bit", "none")}
    for bits, folder in folders.items():
        made = ["baseline", "likelihood", "--base", str(tiny_base), "--quantization", bits]
        done = CliRunner().invoke(cli, [*made, "-o", str(folder)])
        assert done.exit_code == 0, done.output
    assert load_manifest(folders["8bit"]).base.quantization == "8bit"
    assert load_manifest(folders["none"]).base.quantization is None
    out = str(tmp_path / "out.jsonl")
    scored = CliRunner().invoke(cli, ["score", str(rows), "-e", str(folders["8bit"]), "-o", out])
    assert scored.exit_code == 0, scored.output
    assert asked == ["8bit", None, "8bit"]
