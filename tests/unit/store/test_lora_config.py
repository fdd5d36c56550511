"""What an adapter's settings say of where it acts, for engines that read nothing else."""

import json
from pathlib import Path

import pytest

from ct_guard.backends.gguf_header import read_header
from ct_guard.backends.tokenizer_file import load_tokenizer
from ct_guard.backends.tokens import TokenizerEncoder
from ct_guard.errors import MismatchError
from ct_guard.query import build_query
from ct_guard.store import (
    MINI,
    SMOL_ESTIMATOR,
    BaseModelRef,
    Manifest,
    load_manifest,
    save_estimator,
)
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


@pytest.mark.parametrize("folder", [MINI / "query", MINI / "hybrid", SMOL_ESTIMATOR])
def test_the_shipped_adapters_name_the_query_as_their_gguf_files_do(folder: Path) -> None:
    assert load_manifest(folder).activation == "query"
    named = read_lora_config(folder / "adapter", on_query=True)["alora_invocation_tokens"]
    header = read_header(folder / "adapter" / "adapter.gguf")
    assert tuple(named[1:]) == tuple(header.fields["adapter.alora.invocation_tokens"].value)
    with pytest.raises(MismatchError, match="alora_invocation_tokens is"):
        read_lora_config(folder / "adapter")  # as whoever acts on all tokens reads it


def test_what_the_embedded_adapter_names_is_the_query_that_its_base_is_asked() -> None:
    ids = build_query("chat_turn", TokenizerEncoder(load_tokenizer(MINI / "base"))).ids
    named = read_lora_config(MINI / "query" / "adapter", on_query=True)["alora_invocation_tokens"]
    assert tuple(named) == ids


@pytest.mark.parametrize("alpha", [0, 0.0, -8, None, "16"])
def test_an_alpha_that_scales_to_nothing_is_refused(lora: Path, alpha: object) -> None:
    path = lora / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lora_alpha": alpha}))
    with pytest.raises(MismatchError, match="lora_alpha: Input should be"):
        read_lora_config(lora)
