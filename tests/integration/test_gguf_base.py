"""A GGUF file of a real language model as the base of everything: one file, both backends."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from ct_guard.backends.fingerprint import digest, fingerprint
from ct_guard.backends.gguf_probe import first_difference
from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.cli import cli
from ct_guard.estimators import load_estimator
from ct_guard.store import load_manifest

ROWS = [
    ("What is the capital of France?", "Paris"),
    ("What is the capital of France?", "The capital of France is Lyon."),
    ("How many legs does a spider have?", "Eight."),
    ("Who wrote Hamlet?", "William Shakespeare wrote it around 1600."),
    ("Which planet is known as the red one?", "Venus"),
]

BACKENDS = {
    "transformers": ("--backend", "transformers", "--dtype", "float32"),
    "llama_cpp": ("--backend", "llama_cpp", "--threads", "1"),
}


@pytest.fixture(autouse=True)
def _cache(smol_folder: Path, smol_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a clock that stands still: a busy machine reads fewer rows together, whose noise is
    another one."""
    monkeypatch.setenv("CT_GUARD_CACHE", str(smol_cache))
    monkeypatch.setattr("ct_guard.workflows.engines.local.monotonic", lambda: 0.0)


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    rows = [{"question": question, "answer": answer} for question, answer in ROWS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(cli, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def logits(answers: Path, tmp_path: Path, *arguments: str | Path) -> NDArray[np.float64]:
    scored = tmp_path / "scored.jsonl"
    run("score", answers, *arguments, "-o", scored, "-q", "--overwrite")
    rows = [json.loads(line) for line in scored.read_text().splitlines()]
    assert [row["status"] for row in rows] == ["ok"] * len(ROWS)
    return np.array([row["logit"] for row in rows])


def test_both_forms_are_one_base(smol_gguf: Path, smol_folder: Path) -> None:
    assert fingerprint(smol_folder) == fingerprint(smol_gguf) == digest(smol_gguf)[:16]
    assert digest(smol_folder) == digest(smol_gguf)


def test_both_forms_read_texts_alike(smol_gguf: Path, smol_folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smol_folder)
    assert first_difference(tokenizer, smol_gguf)[1] is None
    here = LlamaCppBackend.load(smol_gguf, n_ctx=256, threads=1)
    assert tokenizer.chat_template == here.encoder.chat_template.source
    here.close()


@pytest.mark.parametrize(("method", "apart"), [("zero-shot", 0.8), ("likelihood", 1.5)])
def test_both_backends_score_from_the_same_file(
    method: str, apart: float, answers: Path, smol_gguf: Path, tmp_path: Path
) -> None:
    there, here = (
        logits(answers, tmp_path, "-e", method, "--base", smol_gguf, *BACKENDS[backend])
        for backend in BACKENDS
    )
    assert np.abs(there - here).max() < apart
    assert np.corrcoef(there, here)[0, 1] > 0.95


def test_what_is_tuned_on_the_file_is_served_from_it(
    answers: Path, smol_gguf: Path, tmp_path: Path
) -> None:
    graded = tmp_path / "graded.jsonl"
    rows = [
        {"question": f"Is {n} an even number?", "answer": answer, "correct": (n % 2 == 0) == yes}
        for n in range(16)
        for answer, yes in (("Yes", True), ("No", False))
    ]
    graded.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = tmp_path / "made"
    settings = [
        "--calibrator",
        "none",
        "--steps",
        "2",
        "--warmup",
        "1",
        "--batch-size",
        "4",
        "--evaluate-every",
        "2",
    ]
    run("tune", graded, "--base", smol_gguf, "-o", made, *settings)
    manifest = load_manifest(made)
    assert manifest.base.id == str(smol_gguf.resolve())
    assert manifest.base.fingerprint == fingerprint(smol_gguf)
    assert "adapter/adapter.gguf" in manifest.files
    there, here = (
        logits(answers, tmp_path, "-e", made, *BACKENDS[backend]) for backend in BACKENDS
    )
    # a start from a probe multiplies the two arithmetics' noise with the logits themselves
    assert np.abs(there - here).max() < 0.15 * np.ptp(there)
    assert np.corrcoef(there, here)[0, 1] > 0.95


def test_it_answers_and_grades(smol_gguf: Path, tmp_path: Path) -> None:
    asked, graded = tmp_path / "asked.jsonl", tmp_path / "graded.jsonl"
    asked.write_text(json.dumps({"question": ROWS[0][0], "gold": "Paris"}) + "\n")
    run("grade", asked, "-m", smol_gguf, "--max-tokens", "12", "-g", "substring", "-o", graded)
    row = json.loads(graded.read_text())
    assert row["model"] == smol_gguf.name
    assert "Paris" in row["answer"]


def test_a_baseline_over_it_names_the_file(smol_gguf: Path, tmp_path: Path) -> None:
    made = tmp_path / "baseline"
    run("baseline", "likelihood", "--base", smol_gguf, "-o", made)
    assert load_manifest(made).base.digests == (digest(smol_gguf),)
    load_estimator(made, backend="llama_cpp", threads=1).close()


def test_it_chats(smol_gguf: Path) -> None:
    from ct_guard_langchain import ChatLocal

    chat = ChatLocal(estimator="zero-shot", base=smol_gguf, max_tokens=12)
    message = chat.invoke(ROWS[0][0])
    assert "Paris" in str(message.content)
    assert 0 < message.response_metadata["ct_guard"]["p"] < 1
    chat.close()


def test_the_doctor_knows_it(smol_gguf: Path) -> None:
    assert "(GGUF) needs about" in run("doctor", "--base", smol_gguf)
