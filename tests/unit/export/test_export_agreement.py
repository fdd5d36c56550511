"""Exported weights compute what the originals compute."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
)

from ct_guard.backends.fingerprint import fingerprint
from ct_guard.backends.gguf_file import validate_adapter, validate_base
from ct_guard.export import export_adapter, export_base
from ct_guard.export.architecture import read_architecture
from ct_guard.export.weights import Weights

IDS = [1, 40, 7, 200, 12, 99, 250, 3, 3, 64, 128, 17, 5, 201, 77, 30]
LLAMA3_ROPE = {
    "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
}  # fmt: skip
CASES = {
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
}


def reference(base: Path, adapter: Path | None = None, ids: list[int] = IDS) -> NDArray[np.float32]:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        logits: NDArray[np.float32] = model.eval()(torch.tensor([ids])).logits[0].numpy()
    return logits


@pytest.mark.parametrize("name", CASES)
def test_logits_of_every_architecture_with_and_without_an_adapter(
    name, make_model, make_adapter, llama_logits, tmp_path
):
    kind, changes = CASES[name]
    folder = make_model(kind, **changes)
    export_base(folder, tmp_path / "model.gguf", kind="f32")
    expected = reference(folder)
    np.testing.assert_allclose(
        llama_logits(tmp_path / "model.gguf", IDS), expected, atol=1e-4, rtol=0
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
        atol=1e-4,
        rtol=0,
    )
