"""Exported weights compute what the originals compute."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
)

from ct_guard.backends.fingerprint import fingerprint
from ct_guard.backends.gguf_file import validate_adapter, validate_base
from ct_guard.export import export_adapter, export_base
from ct_guard.export.architecture import read_architecture
from ct_guard.export.weights import Weights
from ct_guard.export.writing import WeightType
from ct_guard.store import MINI
from tests.unit.export.conftest import LlamaLogits, MakeAdapter, MakeModel

IDS = [1, 40, 7, 200, 12, 99, 250, 3, 3, 64, 128, 17, 5, 201, 77, 30]
LLAMA3_ROPE = {
    "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
}  # fmt: skip
GEMMA = {
    "head_dim": 24, "query_pre_attn_scalar": 24, "num_hidden_layers": 7, "sliding_window": 5,
    "initializer_range": 0.1,
}  # fmt: skip
"""Seven layers, of which the sixth attends to everything, the others to fewer tokens than IDS."""
GELU_TABLE = 0.02
"""llama.cpp looks the activation of Gemma up in a table of 16-bit numbers."""
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, {}),
    "llama-biased": (LlamaConfig, {"attention_bias": True, "mlp_bias": True}),
    "llama-tied": (LlamaConfig, {"tie_word_embeddings": True}),
    "llama-wide-heads": (LlamaConfig, {"head_dim": 24}),
    "llama3-rope": (LlamaConfig, {"rope_parameters": LLAMA3_ROPE}),
    "llama-linear-rope": (
        LlamaConfig,
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0}},
    ),
    "mistral": (MistralConfig, {"sliding_window": 128, "head_dim": 16}),
    "qwen2": (Qwen2Config, {}),
    "qwen2-tied": (Qwen2Config, {"tie_word_embeddings": True}),
    "qwen3": (Qwen3Config, {"head_dim": 24}),
    "qwen3-tied": (Qwen3Config, {"tie_word_embeddings": True, "head_dim": 16}),
    "gemma3": (Gemma3TextConfig, GEMMA),
    "gemma3-linear-rope": (
        Gemma3TextConfig,
        {
            **GEMMA,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        },
    ),
    "phi3": (Phi3Config, {"pad_token_id": 0}),
    "phi3-partial-rope": (
        Phi3Config,
        {
            "pad_token_id": 0,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5,
            },
        },
    ),
}  # fmt: skip


def reference(base: Path, adapter: Path | None = None, ids: list[int] = IDS) -> NDArray[np.float32]:
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        logits: NDArray[np.float32] = model.eval()(torch.tensor([ids])).logits[0].numpy()
    return logits


@pytest.mark.parametrize("name", CASES)
def test_logits_of_every_architecture_with_and_without_an_adapter(
    name: Any,
    make_model: MakeModel,
    make_adapter: MakeAdapter,
    llama_logits: LlamaLogits,
    tmp_path: Path,
) -> None:
    kind, changes = CASES[name]
    exact = GELU_TABLE if kind is Gemma3TextConfig else 1e-4
    folder = make_model(kind, **changes)
    export_base(folder, tmp_path / "model.gguf", kind="f32")
    expected = reference(folder)
    np.testing.assert_allclose(
        llama_logits(tmp_path / "model.gguf", IDS), expected, atol=exact, rtol=0
    )
    adapter = make_adapter(folder)
    export_adapter(
        adapter,
        tmp_path / "adapter.gguf",
        architecture=read_architecture(folder),
        base=Weights.of(folder),
        base_fingerprint=fingerprint(folder),
    )
    validate_adapter(tmp_path / "adapter.gguf", validate_base(tmp_path / "model.gguf"))
    adapted = reference(folder, adapter)
    assert np.abs(adapted - expected).max() > 0.1
    np.testing.assert_allclose(
        llama_logits(tmp_path / "model.gguf", IDS, tmp_path / "adapter.gguf"),
        adapted,
        atol=exact,
        rtol=0,
    )


@pytest.mark.parametrize(
    "options",
    [
        {"use_rslora": True},
        {"alpha_pattern": {"k_proj": 20, "layers.1.mlp.down_proj": 3}},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 1}, "use_rslora": True},
    ],
    ids=["rslora", "alpha-pattern", "rank-and-alpha-pattern"],
)
def test_scales_of_an_adapter(
    options: dict[str, Any],
    make_model: MakeModel,
    make_adapter: MakeAdapter,
    llama_logits: LlamaLogits,
    tmp_path: Path,
) -> None:
    folder = make_model(LlamaConfig)
    adapter = make_adapter(folder, **options)
    export_base(folder, tmp_path / "model.gguf", kind="f32")
    export_adapter(
        adapter,
        tmp_path / "adapter.gguf",
        architecture=read_architecture(folder),
        base=Weights.of(folder),
        base_fingerprint="",
    )
    np.testing.assert_allclose(
        llama_logits(tmp_path / "model.gguf", IDS, tmp_path / "adapter.gguf"),
        reference(folder, adapter),
        atol=1e-4,
        rtol=0,
    )


def test_shards_give_the_same_file(make_model: MakeModel, tmp_path: Path) -> None:
    whole, parts = make_model(LlamaConfig), make_model(LlamaConfig, shards=True)
    assert len(list(parts.glob("*.safetensors"))) > 2
    tensors = []
    for folder in (whole, parts):
        export_base(folder, tmp_path / folder.name, kind="f32")
        info = validate_base(tmp_path / folder.name)
        data = (tmp_path / folder.name).read_bytes()
        tensors.append({n: data[t.offset : t.offset + t.size] for n, t in info.tensors.items()})
    assert tensors[0] == tensors[1]


@pytest.mark.parametrize(("kind", "tolerance"), [("f16", 0.02), ("q8_0", 0.5)])
def test_smaller_types_are_near_and_smaller(
    kind: WeightType,
    tolerance: float,
    make_model: MakeModel,
    llama_logits: LlamaLogits,
    tmp_path: Path,
) -> None:
    folder = make_model(LlamaConfig)
    export_base(folder, tmp_path / "full.gguf", kind="f32")
    export_base(folder, tmp_path / "small.gguf", kind=kind)
    ratio = {"f16": 0.51, "q8_0": 0.28}[kind]
    full, small = (validate_base(tmp_path / f"{name}.gguf") for name in ("full", "small"))
    assert small.weight_bytes < ratio * full.weight_bytes
    difference = np.abs(llama_logits(tmp_path / "small.gguf", IDS) - reference(folder))
    assert 0 < difference.max() < tolerance * np.abs(reference(folder)).max()


def test_a_window_becomes_the_context_that_the_file_promises(
    make_model: MakeModel, tmp_path: Path
) -> None:
    folder = make_model(MistralConfig, sliding_window=32, head_dim=16)
    export_base(folder, tmp_path / "model.gguf")
    assert validate_base(tmp_path / "model.gguf").context_length == 32


def test_the_embedded_files_are_what_the_export_makes_today(tmp_path: Path) -> None:
    export_base(MINI / "base", tmp_path / "base" / "model.gguf", kind="f32")
    made = (tmp_path / "base" / "model.gguf").read_bytes()
    assert made == (MINI / "base" / "model.gguf").read_bytes()
    tokenizer = AutoTokenizer.from_pretrained(MINI / "base")
    assert len(tokenizer) == validate_base(MINI / "base" / "model.gguf").vocabulary_size
