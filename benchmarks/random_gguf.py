"""GGUF files of any shape with random weights: what they compute takes the time that trained ones
take."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, TokenType
from numpy.typing import NDArray
from tokenizers.pre_tokenizers import ByteLevel

from ct_guard.export.tokenizer import Vocabulary
from ct_guard.export.writing import Planned, WeightType, fresh, write

__all__ = ["BYTES", "Shape", "make_adapter", "make_base"]

BYTES = 256
"""Ids below it are single bytes of text; the others are never encoded to."""
_ADAPTED = ("attn_q", "attn_k", "attn_v", "attn_output")


@dataclass(frozen=True)
class Shape:
    """Of architecture `llama`, with tied embeddings; as Qwen2 of half a billion weights."""

    layers: int = 24
    width: int = 896
    heads: int = 14
    kv_heads: int = 2
    hidden: int = 4864
    vocabulary: int = 151_936
    context: int = 4096

    def __str__(self) -> str:
        sizes = f"{self.layers}x{self.width}x{self.hidden}, {self.heads}/{self.kv_heads} heads"
        return f"{sizes}, {self.vocabulary:,} tokens"

    @property
    def name(self) -> str:
        return f"{self.layers}x{self.width}x{self.hidden}-{self.heads}-{self.kv_heads}-{self.vocabulary}"

    def matrices(self, layer: int) -> dict[str, tuple[int, int]]:
        """Rows and columns by name."""
        keys = self.width // self.heads * self.kv_heads
        shapes = {
            "attn_q": (self.width, self.width),
            "attn_k": (keys, self.width),
            "attn_v": (keys, self.width),
            "attn_output": (self.width, self.width),
            "ffn_gate": (self.hidden, self.width),
            "ffn_up": (self.hidden, self.width),
            "ffn_down": (self.width, self.hidden),
        }
        return {f"blk.{layer}.{name}.weight": shape for name, shape in shapes.items()}


def make_base(path: Path, shape: Shape, kind: WeightType = "q8_0") -> Path:
    """Write the model unless it is there. Its answers never end by themselves."""
    if path.is_file():
        return path
    with fresh(path, overwrite=False) as unfinished:
        writer = gguf.GGUFWriter(unfinished, "llama")
        writer.add_type(gguf.GGUFType.MODEL)
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        _describe(writer, shape)
        write(writer, list(_tensors(shape, kind)))
    return path


def make_adapter(folder: Path, shape: Shape, rank: int = 8) -> Path:
    """Write `adapter.gguf`, a LoRA on the projections of the attention, unless it is there."""
    path = folder / "adapter.gguf"
    if path.is_file():
        return folder
    pairs = []
    for layer in range(shape.layers):
        for name, (rows, columns) in shape.matrices(layer).items():
            if name.split(".")[2] in _ADAPTED:
                pairs += [(f"{name}.lora_a", (rank, columns)), (f"{name}.lora_b", (rows, rank))]
    with fresh(path, overwrite=False) as unfinished:
        writer = gguf.GGUFWriter(unfinished, "llama")
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(rank))
        write(writer, [_random(name, size, "f32") for name, size in pairs])
    return folder


def _describe(writer: gguf.GGUFWriter, shape: Shape) -> None:
    head = shape.width // shape.heads
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(1e-6)
    letters = sorted(ByteLevel.alphabet())
    Vocabulary(
        model="gpt2",
        pre="gpt-2",
        tokens=[*letters, "Ġt", *(f"[{token}]" for token in range(BYTES + 1, shape.vocabulary))],
        types=[int(TokenType.NORMAL)] * shape.vocabulary,
        merges=["Ġ t"],
    ).describe(writer)


def _tensors(shape: Shape, kind: WeightType) -> Iterator[Planned]:
    yield _random("token_embd.weight", (shape.vocabulary, shape.width), kind)
    for layer in range(shape.layers):
        for name, size in shape.matrices(layer).items():
            yield _random(name, size, kind)
        for norm in ("attn_norm", "ffn_norm"):
            yield _ones(f"blk.{layer}.{norm}.weight", shape.width)
    yield _ones("output_norm.weight", shape.width)


def _random(name: str, size: tuple[int, int], kind: WeightType) -> Planned:
    def read() -> NDArray[np.float32]:
        rng = np.random.default_rng(list(name.encode()))
        return rng.standard_normal(size, np.float32) / np.float32(size[1] ** 0.5)

    return Planned.of(name, size, kind, read)


def _ones(name: str, size: int) -> Planned:
    return Planned(name, (size,), GGMLQuantizationType.F32, lambda: np.ones(size, np.float32))
