"""What is tuned acts on bases of other architectures than the tests' Llama."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from ct_guard.backends import Activation, Adapter, Item
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.tuning import RunLife, TuningConfig, tune
from ct_guard.tuning.data import render_graded
from tests.unit.tuning.rows import graded

SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 1024,
}  # fmt: skip
SETTINGS = {
    "mistral": {**SIZES, "sliding_window": None},
    "qwen2": SIZES,
    "qwen3": SIZES,
    "gemma2": {**SIZES, "sliding_window": 1024, "query_pre_attn_scalar": 8},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 1024},
}
CONFIG = TuningConfig(rank=4, learning_rate=5e-3, batch_size=8, steps=3, warmup=0, evaluate_every=3)


@pytest.fixture(scope="module", params=SETTINGS)
def base(
    request: pytest.FixtureRequest, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A random base of that architecture with the tiny base's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    config = AutoConfig.for_model(
        request.param,
        **SETTINGS[request.param],
        vocab_size=len(tokenizer) + 8,  # of some architectures the library adds tokens
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        initializer_range=0.3,
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("activation", ["query", "all"])
def test_an_adapter_of_its_default_layers_acts_and_leaves_the_base_as_it_was(
    activation: Activation, base: Path, tmp_path: Path
) -> None:
    backend = TransformersBackend.load(base, device="cpu")
    before = {name: weight.clone() for name, weight in backend.model.named_parameters()}
    losses: list[float] = []
    tuned = tune(
        backend,
        graded(24),
        graded(8, offset=500),
        style="chat_turn",
        folder=tmp_path / "adapter",
        config=replace(CONFIG, activation=activation),
        life=RunLife(on_step=lambda step, loss: losses.append(loss)),
    )
    assert len(losses) == CONFIG.steps
    assert np.isfinite([*losses, tuned.validation_log_loss]).all()
    after = {
        name.replace(".base_layer", ""): weight
        for name, weight in backend.model.named_parameters()
        if "lora_" not in name
    }
    assert after.keys() == before.keys()
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())

    served = TransformersBackend.load(base, device="cpu")
    rows = render_graded(
        graded(8, offset=900), style="chat_turn", backend=served, query=tuned.query, budget=512
    )
    adapter = Adapter("fresh", tmp_path / "adapter", activation)
    without, with_it = (
        served.score(
            [Item(row.context, row.answer) for row in rows],
            tuned.query,
            one,
            frozenset({"labels"}),
        ).label_logits
        for one in (None, adapter)
    )
    assert without is not None
    assert with_it is not None
    assert np.isfinite(with_it).all()
    assert (np.abs(with_it - without).max(axis=1) > 1e-3).all()
