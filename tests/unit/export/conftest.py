"""Random models of every exported architecture, and llama.cpp's bare logits of a file."""

import ctypes
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from ct_guard.backends.llama_cpp.library import library

Floats = NDArray[np.float32]
LlamaLogits = Callable[..., Floats]
MakeModel = Callable[..., Path]
MakeAdapter = Callable[..., Path]

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
}
"""Grouped queries: heads of 16 numbers, two of keys for four of queries."""
TEXTS = ["(i): no (ii): yes Question: Answer: the cat sat on the mat 2 plus 2"] * 5


def byte_level(**options: Any) -> PreTrainedTokenizerFast:
    """Byte-level BPE, whose pre-tokenizer is `options`."""
    specials = ["<|pad|>", "<|begin|>", "<|end|>"]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = options.pop("pre", pre_tokenizers.ByteLevel(add_prefix_space=False))
    core.normalizer = options.pop("normalizer", None)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=specials,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<|begin|>",
        eos_token="<|end|>",
        pad_token="<|pad|>",
    )


def sentencepiece_like() -> PreTrainedTokenizerFast:
    """As Llama 2's: ▁ for spaces and before every text, bytes for what is unknown."""
    core = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    core.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=340,
            special_tokens=["<unk>", "<s>", "</s>", *byte_tokens],
            show_progress=False,
        ),
    )
    data = json.loads(core.to_str())
    data["added_tokens"] = data["added_tokens"][:3]  # bytes are ordinary entries
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(data)),
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
    )


@pytest.fixture(name="byte_level")
def make_byte_level() -> Callable[..., PreTrainedTokenizerFast]:
    """`byte_level(pre=…, normalizer=…)`: a tokenizer."""
    return byte_level


@pytest.fixture(name="sentencepiece_like")
def make_sentencepiece_like() -> Callable[[], PreTrainedTokenizerFast]:
    """`sentencepiece_like()`: a tokenizer."""
    return sentencepiece_like


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """`make_model(ConfigClass, tokenizer, **changes)`: a directory with a random model."""

    def make(kind: Any, tokenizer: Any = None, *, shards: bool = False, **changes: Any) -> Path:
        tokenizer = tokenizer or byte_level()
        torch.manual_seed(0)
        rows = len(tokenizer) + 8  # as most checkpoints: more embeddings than tokens
        config = kind(vocab_size=rows, **{**SHAPE, **changes})
        model = AutoModelForCausalLM.from_config(config)
        for name, weight in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                torch.nn.init.uniform_(weight, 0.5, 1.5)  # neither zero nor one: they must count
        folder = tmp_path_factory.mktemp("model")
        model.save_pretrained(folder, max_shard_size="50KB" if shards else "5GB")
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def make_adapter(tmp_path_factory: pytest.TempPathFactory) -> MakeAdapter:
    """`make_adapter(base, **lora)`: a directory with a random LoRA on all projections."""

    def make(base: Path, **options: Any) -> Path:
        torch.manual_seed(1)
        targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        if json.loads((base / "config.json").read_text())["model_type"] == "phi3":
            targets = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
        config = LoraConfig(
            **{
                "r": 4,
                "lora_alpha": 6,
                "target_modules": targets,
                "init_lora_weights": False,
                **options,
            }
        )
        folder = tmp_path_factory.mktemp("adapter")
        get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(
            str(folder)
        )
        return folder

    return make


@pytest.fixture(scope="session")
def llama_logits() -> LlamaLogits:
    """`llama_logits(file, ids, adapter)`: [tokens, vocabulary], through the bare C interface."""

    def logits(path: Path, ids: Sequence[int], adapter: Path | None = None) -> Floats:
        llama = library()
        model = llama.llama_model_load_from_file(
            str(path).encode(), llama.llama_model_default_params()
        )
        assert model, f"llama.cpp does not load {path}"
        lora = llama.llama_adapter_lora_init(model, str(adapter).encode()) if adapter else None
        assert lora or not adapter, f"llama.cpp does not load {adapter}"
        parameters = llama.llama_context_default_params()
        parameters.n_ctx, parameters.n_batch, parameters.n_threads = 256, 256, 1
        parameters.type_k = parameters.type_v = llama_cpp.GGML_TYPE_F32
        parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        context = llama.llama_init_from_model(model, parameters)
        if lora:
            adapters = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(lora)
            llama.llama_set_adapters_lora(context, adapters, 1, (ctypes.c_float * 1)(1.0))
        batch = llama.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for at, token in enumerate(ids):
            batch.token[at], batch.pos[at], batch.logits[at] = token, at, 1
            batch.n_seq_id[at], batch.seq_id[at][0] = 1, 0
        assert llama.llama_decode(context, batch) == 0
        size = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
        rows = [
            np.ctypeslib.as_array(llama.llama_get_logits_ith(context, at), (size,)).copy()
            for at in range(len(ids))
        ]
        llama.llama_batch_free(batch)
        llama.llama_free(context)
        if lora:
            llama.llama_adapter_lora_free(lora)
        llama.llama_model_free(model)
        return np.stack(rows)

    return logits


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for what is unpacked."""
    monkeypatch.setenv("CT_GUARD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
