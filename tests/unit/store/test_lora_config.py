"""What an adapter's settings say of where it acts, for engines that read nothing else."""

import json
from pathlib import Path

import pytest

from ct_guard.errors import MismatchError
from ct_guard.store import BaseModelRef, Manifest, load_manifest, save_estimator
from ct_guard.store.lora_config import read_lora_config


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    folder = tmp_path / "lora"
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 4, "alora_invocation_tokens": None}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def saved(lora: Path, activation: str, invocation: tuple[int, ...]) -> Path:
    folder = lora.parent / activation
    manifest = Manifest(
        name="mine", method="query", base=BaseModelRef(id="base"), activation=activation
    )
    save_estimator(folder, manifest, adapter=lora, invocation=invocation)
    load_manifest(folder)
    return folder / "adapter"


def test_an_adapter_of_the_query_alone_names_the_query(lora: Path) -> None:
    folder = saved(lora, "query", (5, 6, 7))
    assert read_lora_config(folder, on_query=True)["alora_invocation_tokens"] == [5, 6, 7]
    with pytest.raises(MismatchError, match="alora_invocation_tokens is"):
        read_lora_config(folder)  # as one that acts on all tokens


def test_one_that_acts_on_all_tokens_does_not(lora: Path) -> None:
    assert read_lora_config(saved(lora, "all", ()))["alora_invocation_tokens"] is None
