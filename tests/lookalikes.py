"""Look-alikes of the paper's adapters and their bases: the true names, files and shapes, in small,
and with random weights.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
)

DUMMY = "\u2581"
SIZE, RANK, ALPHA, WINDOW = 32, 4, 32, 48


def make_base(folder: Path, *, family: str, tokenizer: str) -> Path:
    """A base model's directory. `family`: llama, mistral (sliding window)."""
    words = make_tokenizer(tokenizer)
    torch.manual_seed(7)
    shape: dict[str, Any] = {
        "vocab_size": len(words),
        "hidden_size": SIZE,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "initializer_range": 0.2,
    }
    model = (
        MistralForCausalLM(MistralConfig(**shape, sliding_window=WINDOW))
        if family == "mistral"
        else LlamaForCausalLM(LlamaConfig(**shape))
    )
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def make_adapter(folder: Path, *, base: str, calibrated: bool, tuned: bool = True) -> Path:
    """A LoRA on q and v as PEFT saves it, in the ordinary type or in the reference's own."""
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "alpha_pattern": {}, "auto_mapping": None, "base_model_name_or_path": base, "bias": "none",
        "fan_in_fan_out": False, "inference_mode": True, "init_lora_weights": True,
        "layers_pattern": None, "layers_to_transform": None, "loftq_config": {},
        "lora_alpha": ALPHA, "lora_dropout": 0.1, "megatron_config": None,
        "megatron_core": "megatron.core", "modules_to_save": None, "peft_type": "LORA", "r": RANK,
        "rank_pattern": {}, "revision": None, "target_modules": ["v_proj", "q_proj"],
        "task_type": "CAUSAL_LM", "use_dora": False, "use_rslora": False,
    }  # fmt: skip
    if calibrated:
        config |= {
            "peft_type": "CALIBRATED_LORA", "task_type": "CALIBRATED_CAUSAL_LM",
            "query_format": "roman_choice", "use_temperature": False,
        }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config))
    random = torch.Generator().manual_seed(11)
    tensors = {}
    for layer in range(2):
        for name, outputs in (("q_proj", SIZE), ("v_proj", SIZE // 2)):
            place = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            tensors[f"{place}.lora_A.weight"] = torch.randn(RANK, SIZE, generator=random) / 6
            b = torch.randn(outputs, RANK, generator=random) / 6
            tensors[f"{place}.lora_B.weight"] = b if tuned else torch.zeros_like(b)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


def make_classifier(folder: Path) -> Path:
    """`classifier_model.bin`, the state of the reference's head."""
    torch.manual_seed(13)
    sizes = (SIZE, 256, 128, 64, 2)
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(torch.nn.Sequential(*layers[:-1]).state_dict(), folder / "classifier_model.bin")
    return folder


def make_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """`kind`: sentencepiece (dummy prefix, byte fallback), bytes, or merging (bytes, and a full
    stop and the newline behind it are one)."""
    return _sentencepiece() if kind == "sentencepiece" else _bytes(kind == "merging")


def _sentencepiece() -> PreTrainedTokenizerFast:
    """Llama 2 in small: dummy prefix, newlines as bytes, no padding token."""
    letters = [chr(c) for c in range(33, 127)]
    specials = ["<unk>", "<s>", "</s>"]
    vocab = {t: at for at, t in enumerate([*specials, *(f"<0x{b:02X}>" for b in range(256))])}
    for piece in (DUMMY, *letters):
        vocab[piece] = len(vocab)
    merges = []
    for left, right in [(DUMMY, "i"), (DUMMY + "i", "i"), ("e", "r"), (DUMMY, "a"), ("o", "r"),
                        (DUMMY, "4"), ("e", "."), ("Q", "u"), ("er", ":")]:  # fmt: skip
        vocab[left + right] = len(vocab)
        merges.append((left, right))
    core = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True))
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend(DUMMY), normalizers.Replace(" ", DUMMY)]
    )
    core.decoder = decoders.Sequence(
        [decoders.Replace(DUMMY, " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    return _with_start(core)


def _bytes(merging: bool) -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [("i", "i"), ("e", "r"), ("\u0120", "a"), *([(".", "\u010a")] if merging else [])]
    pieces = ["<unk>", "<s>", "</s>", *alphabet, *("".join(pair) for pair in pairs)]
    core = Tokenizer(models.BPE(vocab={t: at for at, t in enumerate(pieces)}, merges=pairs))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    return _with_start(core)


def _with_start(core: Tokenizer) -> PreTrainedTokenizerFast:
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
