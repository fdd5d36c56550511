"""The tensors of a GGUF file: their types, and the shapes that the architecture demands."""

from collections.abc import Mapping
from typing import NamedTuple

from gguf.constants import GGMLQuantizationType

from .gguf_header import InvalidGGUF, TensorInfo
from .gguf_info import GGUFInfo

__all__ = ["check_pairs", "check_tensors"]

_CHECKED = ("llama", "qwen2", "qwen3", "gemma3", "phi3")
"""Architectures that ct-guard exports: checked tensor by tensor."""
_NO_WEIGHTS = {
    GGMLQuantizationType[name]
    for name in ("I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K")
}  # fmt: skip
"""Types that llama.cpp stores nothing to multiply with in."""

_Shapes = dict[str, tuple[int, ...]]


def check_tensors(info: GGUFInfo) -> None:
    """Of a base. Raises InvalidGGUF."""
    width, vocabulary = int(info.own("embedding_length")), info.vocabulary_size
    for name, tensor in info.tensors.items():
        if len(tensor.shape) == 1 and tensor.type != GGMLQuantizationType.F32:
            raise InvalidGGUF(f"the tensor {name!r} is {tensor.type.name} and must be F32")
        if tensor.type in _NO_WEIGHTS:
            raise InvalidGGUF(f"the tensor {name!r} has the type {tensor.type.name}, no weights'")
    required: _Shapes = {"token_embd.weight": (width, vocabulary)}
    optional: _Shapes = {"output.weight": (width, vocabulary)}
    if info.architecture in _CHECKED:
        more, maybe = _layout(info)
        required |= more
        optional |= maybe
    for name, shape in required.items():
        if name not in info.tensors:
            raise InvalidGGUF(f"the tensor {name!r} is missing")
        _check_shape(info, name, shape)
    for name, shape in optional.items():
        if name in info.tensors:
            _check_shape(info, name, shape)


def _check_shape(info: GGUFInfo, name: str, expected: tuple[int, ...]) -> None:
    if (found := info.tensors[name].shape) != expected:
        raise InvalidGGUF(f"the tensor {name!r} has the shape {found} instead of {expected}")


def _experts(info: GGUFInfo) -> int:
    return int(info.own("expert_count", 0))


class _Sizes(NamedTuple):
    """Numbers that a block's shapes are made of."""

    width: int
    hidden: int
    """Of the feed-forward part."""
    head: int
    queries: int
    """Of all heads together."""
    keys: int


def _layout(info: GGUFInfo) -> tuple[_Shapes, _Shapes]:
    """Shapes of the tensors that an architecture of ours must and may have."""
    name, sizes = info.architecture, _sizes(info)
    required: _Shapes = {"output_norm.weight": (sizes.width,)}
    optional: _Shapes = {"rope_freqs.weight": (sizes.head // 2,)}
    for layer in range(info.layers):
        more, maybe = _block(name, sizes, experts=_experts(info))
        required |= {f"blk.{layer}.{part}": shape for part, shape in more.items()}
        optional |= {f"blk.{layer}.{part}": shape for part, shape in maybe.items()}
    return required, optional


def _sizes(info: GGUFInfo) -> _Sizes:
    """Raises InvalidGGUF for numbers that do not fit each other."""
    name = info.architecture
    width, hidden = int(info.own("embedding_length")), info.own("feed_forward_length")
    counts = (hidden, info.own("attention.head_count"), info.own("attention.head_count_kv", 1))
    if not all(isinstance(count, int) for count in counts):
        raise InvalidGGUF(f"{name} has one feed_forward_length and head_count for all layers")
    head, heads, kv_heads = info.head_size, info.heads, info.kv_heads
    rotary = info.own("rope.dimension_count", head)
    if (
        head % 2
        or not kv_heads
        or heads % kv_heads
        or info.own("attention.value_length", head) != head
        or not (rotary == head or (name == "phi3" and 0 < rotary < head and rotary % 2 == 0))
        or (name in ("qwen2", "phi3") and head * heads != width)
    ):
        raise InvalidGGUF(
            f"{heads} heads, {kv_heads} of them for keys, of {head} numbers do not fit the width"
            f" {width} and the rotary dimensions: {name}.attention.* is damaged"
        )
    if name + ".attention.layer_norm_rms_epsilon" not in info.fields:
        raise InvalidGGUF(f"{name}.attention.layer_norm_rms_epsilon is missing")
    return _Sizes(width, hidden, head, queries=head * heads, keys=head * kv_heads)


def _block(name: str, sizes: _Sizes, *, experts: int) -> tuple[_Shapes, _Shapes]:
    """What a layer must and may have."""
    width, hidden, head, queries, keys = sizes
    required: _Shapes = {
        "attn_norm.weight": (width,),
        "attn_output.weight": (queries, width),
        "ffn_norm.weight": (width,),
    }
    if name == "phi3":  # projections that are read together lie in one matrix
        together: _Shapes = {
            "attn_qkv.weight": (width, queries + 2 * keys),
            "ffn_up.weight": (width, 2 * hidden),
            "ffn_down.weight": (hidden, width),
        }
        return required | together, {}
    required |= {
        "attn_q.weight": (width, queries),
        "attn_k.weight": (width, keys),
        "attn_v.weight": (width, keys),
    }
    if name in ("qwen3", "gemma3"):
        required |= {"attn_q_norm.weight": (head,), "attn_k_norm.weight": (head,)}
    if name == "gemma3":
        required |= {"post_attention_norm.weight": (width,), "post_ffw_norm.weight": (width,)}
    if not experts:
        required |= {
            "ffn_gate.weight": (width, hidden),
            "ffn_up.weight": (width, hidden),
            "ffn_down.weight": (hidden, width),
        }
    return required, {
        "attn_q.bias": (queries,),
        "attn_k.bias": (keys,),
        "attn_v.bias": (keys,),
        "attn_output.bias": (width,),
        "ffn_gate.bias": (hidden,),
        "ffn_up.bias": (hidden,),
        "ffn_down.bias": (width,),
    }


def check_pairs(tensors: Mapping[str, TensorInfo], base: Mapping[str, TensorInfo]) -> None:
    """Every matrix of the adapter has its A and B, of shapes that fit the base's matrix."""
    names = set()
    for name in tensors:
        target, _, part = name.rpartition(".")
        if part not in ("lora_a", "lora_b"):
            raise InvalidGGUF(f"the tensor {name!r} is no LoRA matrix, and llama.cpp ignores it")
        names.add(target)
    if not names:
        raise InvalidGGUF("it holds no tensors")
    for target in sorted(names):
        if not {f"{target}.lora_a", f"{target}.lora_b"} <= tensors.keys():
            raise InvalidGGUF(f"{target!r} has one of lora_a and lora_b, not both")
        if target not in base or len(base[target].shape) != 2 or target == "token_embd.weight":
            raise InvalidGGUF(f"the base has no matrix {target!r} that an adapter can act on")
        a, b = tensors[f"{target}.lora_a"], tensors[f"{target}.lora_b"]
        if a.type in _NO_WEIGHTS or b.type in _NO_WEIGHTS:
            raise InvalidGGUF(f"the pair of {target!r} is of a type that holds no weights")
        inside, outside = base[target].shape
        if (
            len(a.shape) != 2
            or len(b.shape) != 2
            or a.shape[0] != inside
            or b.shape != (a.shape[1], outside)
        ):
            raise InvalidGGUF(
                f"the pair of {target!r} has shapes {a.shape} and {b.shape}, which do not fit the"
                f" base's {base[target].shape}"
            )
