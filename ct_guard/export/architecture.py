"""How Llama, Mistral and Qwen2 are called and ordered in a GGUF file.

Rotary position embedding pairs the numbers of a head differently: Hugging Face keeps the two
halves one after the other, llama.cpp's architecture `llama` wants them interleaved. Rows of the
query and key projections, their biases and their LoRA B matrices are put into that order.
`qwen2` keeps Hugging Face's.
"""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.rope import llama3_factors
from ct_guard.errors import ExportError

__all__ = ["Architecture", "read_architecture"]

_ARCHITECTURES = {
    "LlamaForCausalLM": gguf.MODEL_ARCH.LLAMA,
    "MistralForCausalLM": gguf.MODEL_ARCH.LLAMA,
    "Qwen2ForCausalLM": gguf.MODEL_ARCH.QWEN2,
}
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
        self.rope = dict(getattr(config, "rope_parameters", None) or {})
        self._kind = kind
        self._names = gguf.get_tensor_name_map(kind, self.layers)
        self._refuse()

    def _refuse(self) -> None:
        config, rope = self.config, self.rope.get("rope_type", "default")
        reasons = {
            f"hidden_act {config.hidden_act!r}": config.hidden_act != "silu",
            "a quantised checkpoint": getattr(config, "quantization_config", None) is not None,
            f"rope_type {rope!r}": rope not in ("default", "linear", "llama3"),
            "rope_type 'llama3' in qwen2": rope == "llama3" and self.name != "llama",
            "a partial rotary embedding": self.rope.get("partial_rotary_factor", 1.0) != 1.0,
            "an odd head size": self.head_size % 2 == 1,
            "heads that do not fill the width of qwen2": self.name == "qwen2"
            and self.heads * self.head_size != config.hidden_size,
        }
        for what, present in reasons.items():
            if present:
                raise ExportError(f"{what} cannot be exported to GGUF: use --backend transformers")

    @property
    def tied(self) -> bool:
        """Whether the embeddings are also the output matrix."""
        return bool(self.config.tie_word_embeddings)

    @property
    def context_length(self) -> int:
        """What the file promises to read. llama.cpp attends to every token in these architectures,
        so that a model with a sliding window is exported up to the window."""
        longest, window = int(self.config.max_position_embeddings), self._window()
        return longest if window is None else min(longest, window)

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

    def ordered(self, name: str, values: Floats) -> Floats:
        """Rows of a weight, bias or LoRA B of module `name` in the order of GGUF."""
        module = name.rpartition(".")[0] if name.endswith((".weight", ".bias")) else name
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
        writer.add_rope_dimension_count(self.head_size)
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
    except (OSError, ValueError) as error:
        raise ExportError(f"cannot read {folder / 'config.json'}: {error}") from error
    name = (config.architectures or ["none"])[0]
    if name not in _ARCHITECTURES:
        raise ExportError(
            f"the architecture {name} of {folder} is not exported, only"
            f" {', '.join(_ARCHITECTURES)}: convert the base with llama.cpp's convert_hf_to_gguf.py"
        )
    return Architecture(config, _ARCHITECTURES[name])
