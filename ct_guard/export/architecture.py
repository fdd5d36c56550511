"""How Llama, Mistral, Qwen 2 and 3, Gemma 3 and Phi-3 are called and ordered in a GGUF file.

Rotary position embedding pairs the numbers of a head differently: Hugging Face keeps the two
halves one after the other, llama.cpp's architecture `llama` wants them interleaved. Rows of the
query and key projections, their biases and their LoRA B matrices are put into that order. The
others keep Hugging Face's. Gemma's norms multiply by 1 + w, and llama.cpp's by what is stored.
"""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.checkpoint import check_declared
from ct_guard.backends.pretrained import FAULTS, loading_problem
from ct_guard.backends.rope import llama3_factors
from ct_guard.errors import ExportError

__all__ = ["Architecture", "read_architecture"]

_ARCHITECTURES = {
    "LlamaForCausalLM": gguf.MODEL_ARCH.LLAMA,
    "MistralForCausalLM": gguf.MODEL_ARCH.LLAMA,
    "Qwen2ForCausalLM": gguf.MODEL_ARCH.QWEN2,
    "Qwen3ForCausalLM": gguf.MODEL_ARCH.QWEN3,
    "Gemma3ForCausalLM": gguf.MODEL_ARCH.GEMMA3,
    "Phi3ForCausalLM": gguf.MODEL_ARCH.PHI3,
}
_GEMMA_PERIOD = 6
"""In llama.cpp, every sixth layer of Gemma 3 attends to everything; the others, to a window."""
_GEMMA_LOCAL_THETA = 10_000.0
_BUFFERS = ("rotary_emb.inv_freq",)
"""Left in old checkpoints; they follow from the configuration."""

Floats = NDArray[np.float32]


class Architecture:
    """One model's configuration, in GGUF's terms."""

    def __init__(self, config: Any, kind: gguf.MODEL_ARCH) -> None:
        self.config = config
        self.name = gguf.MODEL_ARCH_NAMES[kind]
        self.layers = int(config.num_hidden_layers)
        self.heads = int(config.num_attention_heads)
        self.kv_heads = int(getattr(config, "num_key_value_heads", None) or self.heads)
        self.head_size = int(getattr(config, "head_dim", None) or config.hidden_size // self.heads)
        rope = getattr(config, "rope_parameters", None) or {}
        self.rope = dict(rope.get("full_attention", rope))
        self.rotary_size = int(self.head_size * self.rope.get("partial_rotary_factor", 1.0))
        self._kind = kind
        self._names = gguf.get_tensor_name_map(kind, self.layers)
        self._refuse()

    def _refuse(self) -> None:
        config, rope = self.config, self.rope.get("rope_type", "default")
        gemma = self.name == "gemma3"
        act = getattr(config, "hidden_activation" if gemma else "hidden_act", None)
        reasons = {
            f"hidden_act {act!r}": act != ("gelu_pytorch_tanh" if gemma else "silu"),
            "a quantised checkpoint": getattr(config, "quantization_config", None) is not None,
            f"rope_type {rope!r}": rope not in ("default", "linear", "llama3"),
            f"rope_type {rope!r} in {self.name}": rope == "llama3" and self.name != "llama",
            "a partial rotary embedding": self.rotary_size != self.head_size
            and self.name != "phi3",
            "an odd head size": self.head_size % 2 == 1,
            f"heads that do not fill the width of {self.name}": self.name in ("qwen2", "phi3")
            and self.heads * self.head_size != config.hidden_size,
            "attention biases in qwen3": self.name == "qwen3" and config.attention_bias,
            **(self._gemma_reasons() if gemma else {}),
        }
        for what, present in reasons.items():
            if present:
                raise ExportError(f"{what} cannot be exported to GGUF: use `backend` transformers")

    def _gemma_reasons(self) -> dict[str, bool]:
        """What llama.cpp has no keys for, and takes for granted."""
        config = self.config
        local = config.rope_parameters["sliding_attention"]
        types = [
            "sliding_attention" if (layer + 1) % _GEMMA_PERIOD else "full_attention"
            for layer in range(self.layers)
        ]
        scalar = config.query_pre_attn_scalar
        return {
            "another order of windows than Gemma 3's": list(config.layer_types) != types,
            "a local rotation other than Gemma 3's": local.get("rope_type", "default") != "default"
            or float(local["rope_theta"]) != _GEMMA_LOCAL_THETA,
            f"query_pre_attn_scalar {scalar}": scalar
            != (config.hidden_size // self.heads if self.layers == 62 else self.head_size),
            "soft-capped logits in gemma3": bool(
                config.attn_logit_softcapping or config.final_logit_softcapping
            ),
            "attention in both directions": bool(config.use_bidirectional_attention),
            "attention biases in gemma3": config.attention_bias,
        }

    @property
    def tied(self) -> bool:
        """Whether the embeddings are also the output matrix."""
        return bool(self.config.tie_word_embeddings)

    @property
    def context_length(self) -> int:
        """What the file promises to read. llama.cpp attends to every token in these architectures
        but Gemma 3, so that a model with a sliding window is exported up to the window."""
        longest, window = int(self.config.max_position_embeddings), self._window()
        return longest if window is None or self.name == "gemma3" else min(longest, window)

    def _window(self) -> int | None:
        window = getattr(self.config, "sliding_window", None)
        if window is None or not getattr(self.config, "use_sliding_window", True):
            return None
        return int(window)

    def gguf_name(self, name: str) -> str | None:
        """A tensor's name in GGUF; None for what is not stored. Raises ExportError when nothing in
        GGUF corresponds to it."""
        if name.endswith(_BUFFERS) or (name == "lm_head.weight" and self.tied):
            return None
        found = self._names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise ExportError(
                f"the tensor {name!r} has no place in a GGUF file of architecture {self.name!r}"
            )
        return found

    def stored(self, name: str, values: Floats) -> Floats:
        """A weight, bias or LoRA B of module `name` as GGUF has it."""
        module = name.rpartition(".")[0] if name.endswith((".weight", ".bias")) else name
        if self.name == "gemma3" and module.endswith("norm"):
            return values + np.float32(1.0)
        if self.name != "llama" or not module.endswith(("q_proj", "k_proj")):
            return values
        heads = self.heads if module.endswith("q_proj") else self.kv_heads
        halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
        return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))

    def extra_tensors(self) -> dict[str, Floats]:
        """Tensors that stand in no checkpoint: the factors of Llama 3's long contexts."""
        if self.rope.get("rope_type") != "llama3":
            return {}
        return {"rope_freqs.weight": llama3_factors(self.rope, self.head_size)}

    def describe(self, writer: gguf.GGUFWriter) -> None:
        """Write the architecture's keys."""
        config = self.config
        writer.add_vocab_size(int(config.vocab_size))
        writer.add_context_length(self.context_length)
        writer.add_embedding_length(int(config.hidden_size))
        writer.add_block_count(self.layers)
        writer.add_feed_forward_length(int(config.intermediate_size))
        writer.add_head_count(self.heads)
        writer.add_head_count_kv(self.kv_heads)
        writer.add_key_length(self.head_size)
        writer.add_value_length(self.head_size)
        writer.add_rope_dimension_count(self.rotary_size)
        writer.add_layer_norm_rms_eps(float(config.rms_norm_eps))
        writer.add_rope_freq_base(float(self.rope.get("rope_theta", 10_000.0)))
        if self.rope.get("rope_type") == "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(float(self.rope["factor"]))
        if (window := self._window()) is not None:
            writer.add_sliding_window(window)


def read_architecture(folder: Path) -> Architecture:
    """Of a Hugging Face directory. Raises ExportError for architectures that are not exported."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        check_declared(config)
    except FAULTS as error:
        raise ExportError(
            f"cannot read {folder / 'config.json'}: {loading_problem(error)}"
        ) from error
    name = (config.architectures or ["none"])[0]
    if name not in _ARCHITECTURES:
        raise ExportError(
            f"the architecture {name} of {folder} is not exported, only"
            f" {', '.join(_ARCHITECTURES)}: convert the base with llama.cpp's convert_hf_to_gguf.py"
        )
    return Architecture(config, _ARCHITECTURES[name])
