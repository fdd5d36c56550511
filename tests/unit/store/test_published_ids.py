"""Published ids through the hub's own client: its cache without a network, and its refusals."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ct_guard.backends.pretrained import loading_problem
from ct_guard.errors import EstimatorError, HubError
from ct_guard.store import load_manifest, locate, pull_estimator
from tests.hub_server import Hub, running_hub
from tests.lookalikes import make_adapter, make_base

ID = "calibration-tuning/Mistral-7B-v0.1-ct-oe"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def in_cache(hub: Path, name: str) -> Path:
    """Where the hub's client keeps the files of a repository's main branch."""
    folder = hub / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    return folder / "snapshots" / COMMIT


def test_an_id_is_scored_from_the_offline_cache_alone(tmp_path: Path) -> None:
    hub = tmp_path / "hf" / "hub"
    base = in_cache(hub, "mistralai/Mistral-7B-v0.1")
    base.mkdir(parents=True)
    make_base(base, family="mistral", tokenizer="sentencepiece")
    make_adapter(in_cache(hub, ID), base="/scratch/author/mistral", calibrated=True)
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps({"question": "Who?", "answer": "Ada\n"}) + "\n")
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "CT_GUARD_CACHE": str(tmp_path / "cache"),
    }
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-m", "ct_guard", "score", str(answers), "-e", f"{ID}model",
         "--device", "cpu"],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout.splitlines()[0])
    assert row["status"] == "ok"
    assert 0 < row["confidence"] < 1
    assert row["estimator"] == "Mistral-7B-v0.1-ct-oe"
    assert not row["calibrated"]
    assert os.listdir(tmp_path / "cache")[0].startswith("Mistral-7B-v0.1-ct-oe-")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    with running_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setenv("CT_GUARD_CACHE", str(tmp_path / "cache"))
        yield hub


def publish(hub: Hub, name: str, folder: Path, **more: bytes) -> None:
    hub.make(name)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.commit(name, "main", files | more)


def test_the_other_spelling_is_tried_and_training_files_stay_there(
    hub: Hub, tmp_path: Path
) -> None:
    files = make_adapter(tmp_path / "theirs", base="b", calibrated=True)
    publish(hub, f"{ID}model", files, **{"optimizer.pt": b"\x80never read"})
    folder = locate(ID)
    assert folder.parent == tmp_path / "cache"
    assert not list((tmp_path / "hub-cache").rglob("optimizer.pt"))


def test_anybody_s_lora_is_an_estimator_by_its_id(hub: Hub, tmp_path: Path) -> None:
    publish(hub, "me/mine", make_adapter(tmp_path / "theirs", base="b", calibrated=True))
    assert load_manifest(locate("me/mine")).name == "mine"


def test_a_paper_s_id_is_pulled_as_a_whole_estimator(hub: Hub, tmp_path: Path) -> None:
    theirs = make_adapter(tmp_path / "theirs", base="/scratch/author/mistral", calibrated=True)
    publish(hub, ID, theirs, **{"optimizer.pt": b"\x80never read"})
    folder = tmp_path / "mine"
    manifest = pull_estimator(ID, folder)
    assert load_manifest(folder) == manifest
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {"manifest.json", *manifest.files}
    assert f"{manifest.adapter}/adapter_model.safetensors" in manifest.files
    assert (manifest.method, manifest.base.id) == ("query", "mistralai/Mistral-7B-v0.1")
    assert manifest.found["base"] == "/scratch/author/mistral, from adapter_config.json"
    assert manifest.found["adapter"].startswith("CALIBRATED_LORA, rank 4")
    assert manifest.assumed["activation"] == "all tokens, as in the reference"
    assert set(manifest.assumed) >= {"base", "boundary", "context style", "labels", "calibrator"}


def test_an_id_that_is_on_no_hub(hub: Hub) -> None:
    with pytest.raises(HubError, match=f"no repository '{ID}'"):
        locate(ID)


def test_an_id_that_was_never_fetched_has_no_offline_copy(hub: Hub) -> None:
    with pytest.raises(HubError, match="not in the local cache"):
        locate(ID, offline=True)


def test_a_gated_base_is_said_in_one_line(hub: Hub, tmp_path: Path) -> None:
    hub.make("them/gated")
    hub.gated.add("them/gated")
    adapter = make_adapter(tmp_path / "mine", base="them/gated", calibrated=True)
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps({"question": "Who?", "answer": "Ada"}) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "ct_guard", "score", str(answers), "-e", str(adapter),
         "--device", "cpu"],
        env={**os.environ, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "base model 'them/gated': it is gated: accept its licence" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert hub.token not in done.stderr


RESPONSE: Any = httpx.Response(404, request=httpx.Request("GET", "https://hub/x"))


@pytest.mark.parametrize(
    "error",
    [
        GatedRepoError("gated\nlong", response=RESPONSE),
        RepositoryNotFoundError("none\nlong", response=RESPONSE),
        RevisionNotFoundError("none\nlong", response=RESPONSE),
        LocalEntryNotFoundError("no network\nlong"),
    ],
)
def test_a_base_that_the_hub_refuses_has_advice_of_one_line(error: Exception) -> None:
    outer = OSError("cannot\nlong")
    outer.__cause__ = error
    advice = loading_problem(outer)
    assert "\n" not in advice
    assert advice.startswith("it ")


def test_any_other_failure_is_its_own_first_line() -> None:
    assert loading_problem(OSError("cannot read it\nlong")) == "cannot read it"


def test_an_unknown_id_lists_what_there_is() -> None:
    with pytest.raises(EstimatorError, match=r"no published adapter.*Llama-2-13b-chat-hf-ct-oe"):
        locate("calibration-tuning/Llama-9-ct-oe")
