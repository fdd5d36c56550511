"""Published ids through the hub's own client: its cache without a network, and its refusals."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import huggingface_hub
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ct_guard.adapters import locate
from ct_guard.adapters.fetch import fetch_snapshot
from ct_guard.backends.loading import loading_problem
from ct_guard.errors import EstimatorError
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


def raising(error: Exception) -> Callable[..., str]:
    def snapshot_download(name: str, **_: object) -> str:
        raise error

    return snapshot_download


RESPONSE = httpx.Response(404, request=httpx.Request("GET", "https://hub/x"))


@pytest.mark.parametrize(
    ("error", "match"),
    [
        (GatedRepoError("gated\nlong", response=RESPONSE), "is gated.*hf auth login"),
        (RepositoryNotFoundError("none\nlong", response=RESPONSE), "not on the hub, or is private"),
        (RevisionNotFoundError("none\nlong", response=RESPONSE), "has no revision 'v9'"),
        (LocalEntryNotFoundError("no network\nlong"), "not in the local cache.*hf download"),
        (ConnectionError("refused"), "hub cannot be reached"),
    ],
)
def test_refusals_of_the_hub_say_what_to_do(
    error: Exception, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", raising(error))
    with pytest.raises(EstimatorError, match=match) as caught:
        fetch_snapshot((ID,), ("*",), "v9")
    assert "\n" not in str(caught.value)
    try:
        raise OSError("cannot\nlong") from error
    except OSError as outer:
        advice = loading_problem(outer)
    assert "\n" not in advice
    assert advice.startswith("it " if type(error) is not ConnectionError else "cannot")


def test_the_other_spelling_is_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def snapshot_download(name: str, **_: object) -> str:
        asked.append(name)
        if not name.endswith("model"):
            raise RepositoryNotFoundError("none", response=RESPONSE)
        return str(make_adapter(tmp_path / "fetched", base="b", calibrated=True))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setenv("CT_GUARD_CACHE", str(tmp_path / "cache"))
    folder = locate(ID)
    assert asked == [ID, f"{ID}model"]
    assert folder.parent == tmp_path / "cache"


def test_without_a_network_an_id_that_was_never_fetched() -> None:
    with pytest.raises(EstimatorError, match="not in the local cache"):
        locate(ID)


def test_an_unknown_id_lists_what_there_is() -> None:
    with pytest.raises(EstimatorError, match=r"no published adapter.*Llama-2-13b-chat-hf-ct-oe"):
        locate("calibration-tuning/Llama-9-ct-oe")
