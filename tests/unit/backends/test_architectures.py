"""Every base earns its batching: of each architecture, rows of any lengths score in company as the
model itself reads them alone, or the base is refused by name."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.models.llama4.configuration_llama4 import Llama4TextConfig
from transformers.models.llama4.modeling_llama4 import Llama4ForCausalLM

from ct_guard.backends import Item, MannerWarning, Want, self_test
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import BackendError
from ct_guard.query import Query, build_query
from tests.present import present

SIZES: dict[str, Any] = {
    "vocab_size": 320, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "initializer_range": 0.3,
}  # fmt: skip
GPT: dict[str, Any] = {
    "vocab_size": 320, "n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 512,
    "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3,
}  # fmt: skip
BLOOM: dict[str, Any] = {
    "vocab_size": 320, "hidden_size": 48, "n_layer": 2, "n_head": 4,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "initializer_range": 0.3,
}  # fmt: skip
HALF = 48 // 4 // 2
LONG = {
    "rope_type": "longrope", "rope_theta": 10_000.0, "short_factor": [1.0] * HALF,
    "long_factor": [4.0] * HALF, "original_max_position_embeddings": 128,
}  # fmt: skip

BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", SIZES),
    "llama, dynamic rope": (
        "LlamaConfig", SIZES | {"rope_parameters": {
            "rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0,
            "original_max_position_embeddings": 128,
        }},
    ),
    "mistral, window": ("MistralConfig", SIZES | {"sliding_window": 24}),
    "qwen2": ("Qwen2Config", SIZES),
    "qwen3": ("Qwen3Config", SIZES | {"head_dim": 16}),
    "qwen3-moe": (
        "Qwen3MoeConfig", SIZES | {
            "head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
        },
    ),
    "gemma 2": (
        "Gemma2Config", SIZES | {
            "head_dim": 16, "sliding_window": 24, "query_pre_attn_scalar": 16,
            "attn_logit_softcapping": 20.0, "final_logit_softcapping": 5.0,
        },
    ),
    "gemma 3, text": (
        "Gemma3TextConfig", SIZES | {
            "head_dim": 16, "sliding_window": 24, "query_pre_attn_scalar": 16,
            "num_hidden_layers": 6,
        },
    ),
    "gemma 3, nested": ("Gemma3Config", {}),
    "phi-3, longrope": ("Phi3Config", SIZES | {
        "rope_parameters": LONG, "original_max_position_embeddings": 128,
    }),
    "gpt-2": ("GPT2Config", GPT),
    "gpt-neox": ("GPTNeoXConfig", {**SIZES, "rotary_pct": 0.5}),
    "opt": ("OPTConfig", {
        "vocab_size": 320, "hidden_size": 48, "ffn_dim": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": 512, "word_embed_proj_dim": 48,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "init_std": 0.3,
    }),
    "falcon": ("FalconConfig", {
        "vocab_size": 320, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "multi_query": True, "parallel_attn": True, "bias": False, "alibi": False,
        "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3,
    }),
    "falcon, alibi": ("FalconConfig", {
        "vocab_size": 320, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "alibi": True, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3,
    }),
    "mpt": ("MptConfig", {
        "vocab_size": 320, "d_model": 48, "n_heads": 4, "n_layers": 2, "max_seq_len": 512,
        "initializer_range": 0.3,
    }),
    "bloom": ("BloomConfig", BLOOM),
    "olmo 2": ("Olmo2Config", SIZES),
    "granite": ("GraniteConfig", SIZES | {
        "logits_scaling": 4.0, "residual_multiplier": 0.5, "embedding_multiplier": 2.0,
        "attention_multiplier": 0.2,
    }),
    "cohere": ("CohereConfig", SIZES | {"logit_scale": 0.25}),
    "smollm3": ("SmolLM3Config", SIZES | {"no_rope_layers": [1, 0]}),
    "lfm2, hybrid": ("Lfm2Config", SIZES | {
        "num_hidden_layers": 4, "layer_types": ["conv", "full_attention", "conv", "conv"],
        "conv_L_cache": 3, "block_ff_dim": 96, "block_auto_adjust_ff_dim": False,
    }),
    "cohere 2, window": (
        "Cohere2Config", SIZES | {"sliding_window": 24, "logit_scale": 0.25, "head_dim": 12},
    ),
    "deepseek-v3, latent attention": (
        "DeepseekV3Config", SIZES | {
            "num_key_value_heads": 4, "head_dim": 8, "kv_lora_rank": 16, "q_lora_rank": 16,
            "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 12, "n_group": 1,
            "topk_group": 1, "n_routed_experts": 4, "num_experts_per_tok": 2,
            "moe_intermediate_size": 32, "first_k_dense_replace": 1,
        },
    ),
    "falcon-h1, hybrid": (
        "FalconH1Config", SIZES | {
            "mamba_d_ssm": 96, "mamba_n_heads": 8, "mamba_d_head": 12, "mamba_n_groups": 1,
            "mamba_expand": 2, "mamba_d_state": 8,
        },
    ),
    "gemma 3n, text": (
        "Gemma3nTextConfig", SIZES | {
            "head_dim": 12, "sliding_window": 24, "num_hidden_layers": 4,
            "layer_types": ["sliding_attention", "full_attention"] * 2, "laurel_rank": 8,
            "num_kv_shared_layers": 2, "vocab_size_per_layer_input": 320, "altup_num_inputs": 2,
            "hidden_size_per_layer_input": 8, "activation_sparsity_pattern": None,
        },
    ),
    "gemma 4, text": (
        "Gemma4TextConfig", SIZES | {
            "head_dim": 12, "sliding_window": 24, "vocab_size_per_layer_input": 320,
            "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 0,
        },
    ),
    "glm 4": ("Glm4Config", SIZES | {"head_dim": 12}),
    "gpt-oss, sinks": (
        "GptOssConfig", SIZES | {
            "head_dim": 12, "sliding_window": 24, "num_local_experts": 4, "num_experts_per_tok": 2,
        },
    ),
    "jamba, hybrid": (
        "JambaConfig", SIZES | {
            "mamba_d_state": 8, "num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1,
            "expert_layer_period": 2, "expert_layer_offset": 1,
        },
    ),
    "mamba 2, recurrent": ("Mamba2Config", {
        "vocab_size": 320, "hidden_size": 48, "num_hidden_layers": 2, "num_heads": 8,
        "head_dim": 12, "expand": 2, "n_groups": 1, "state_size": 8, "initializer_range": 0.3,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    }),
    "nemotron-h, hybrid": (
        "NemotronHConfig", SIZES | {
            "mamba_num_heads": 8, "mamba_head_dim": 12, "ssm_state_size": 8, "n_groups": 1,
            "head_dim": 12,
        },
    ),
    "qwen3-next, hybrid": (
        "Qwen3NextConfig", SIZES | {
            "head_dim": 16, "layer_types": ["linear_attention", "full_attention"],
            "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
            "linear_value_head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2,
            "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32,
        },
    ),
    "rwkv, recurrent": ("RwkvConfig", {
        "vocab_size": 320, "hidden_size": 48, "attention_hidden_size": 48,
        "intermediate_size": 96, "num_hidden_layers": 2, "context_length": 512,
        "bos_token_id": 1, "eos_token_id": 2,
    }),
    "stablelm": ("StableLmConfig", SIZES | {"partial_rotary_factor": 0.5}),
    "zamba 2, hybrid": (
        "Zamba2Config", SIZES | {
            "num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid"] * 2,
            "n_mamba_heads": 8, "mamba_ngroups": 1, "num_key_value_heads": 4, "mamba_d_state": 8,
        },
    ),
    "mamba, recurrent": ("MambaConfig", {
        "vocab_size": 320, "hidden_size": 48, "state_size": 8, "num_hidden_layers": 2,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "initializer_range": 0.3,
    }),
}  # fmt: skip


def made(name: str, tokenizer: Path, folder: Path) -> Path:
    """A tiny random model of this kind, with the tokenizer of the tiny base."""
    kind, settings = BASES[name]
    config_class = getattr(transformers, kind)
    if name == "gemma 3, nested":
        text = SIZES | {"head_dim": 16, "sliding_window": 24, "query_pre_attn_scalar": 16}
        vision = {
            "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
        }  # fmt: skip
        config = config_class(
            text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=319,
            boi_token_index=318, eoi_token_index=317,
        )  # fmt: skip
    else:
        config = config_class(**settings)
    torch.manual_seed(0)
    return with_tokenizer(AutoModelForCausalLM.from_config(config), tokenizer, folder)


def with_tokenizer(model: Any, tokenizer: Path, folder: Path) -> Path:
    model.save_pretrained(folder)
    for path in tokenizer.iterdir():
        if path.name.startswith(("tokenizer", "chat_template", "special")):
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def rows_of(backend: TransformersBackend) -> list[Item]:
    """Of many lengths, some with a context in common."""
    texts = [
        ("Who?", " She"),
        ("Why is that so? " * 4, " It is."),
        ("Who?", " It was he, I think."),
    ]
    texts += [("A question of middling length, say?", " Yes"), ("Who?", " No")]
    return [
        Item(tuple(backend.encoder.encode(c)), tuple(backend.encoder.encode(a))) for c, a in texts
    ]


def alone(folder: Path, rows: list[Item], query: Query) -> np.ndarray:
    """z_yes - z_no by the model itself: one row at a time, without cache or padding."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    with torch.inference_mode():
        for row in rows:
            assert isinstance(row.context, tuple)
            ids = torch.tensor([[*row.context, *row.answer, *query.ids]])
            logits = model(input_ids=ids, use_cache=False).logits[0, -1]
            no, yes = query.label_ids
            found.append(float(logits[yes] - logits[no]))
    return np.array(found)


@pytest.mark.parametrize("name", BASES)
def test_scores_in_company_are_those_of_rows_alone(
    name: str, tiny_base: Path, tmp_path: Path
) -> None:
    folder = made(name, tiny_base, tmp_path)
    backend = TransformersBackend.load(folder, dtype="float32")
    query = build_query("raw", backend.encoder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MannerWarning)
        self_test(backend, query, None)
    rows = rows_of(backend)
    want = frozenset[Want]({"labels", "answer_logprobs"})
    together = backend.score(rows, query, None, want)
    assert together.label_logits is not None
    assert together.answer_logprobs is not None
    expected = alone(folder, rows, query)
    np.testing.assert_allclose(np.diff(together.label_logits)[:, 0], expected, atol=2e-3)
    for row, logprobs in zip(rows, together.answer_logprobs, strict=True):
        (single,) = present(backend.score([row], query, None, want).answer_logprobs)
        np.testing.assert_allclose(logprobs, single, atol=2e-3)


def test_a_base_whose_layers_cannot_be_told_apart_is_refused_by_name(
    tiny_base: Path, tmp_path: Path
) -> None:
    config = Llama4TextConfig(
        **{key: value for key, value in SIZES.items() if key != "initializer_range"},
        head_dim=16, intermediate_size_mlp=96, num_local_experts=2, num_experts_per_tok=1,
        no_rope_layers=[1, 1], interleave_moe_layer_step=1, attention_chunk_size=64,
    )  # fmt: skip
    folder = with_tokenizer(Llama4ForCausalLM(config), tiny_base, tmp_path)
    with pytest.raises(BackendError, match="Llama4ForCausalLM does not name its layers"):
        TransformersBackend.load(folder, dtype="float32")
