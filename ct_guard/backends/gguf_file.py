"""GGUF files are checked here before llama.cpp sees them: what it answers with an abort of the
process is an error of ours.

The architectures that ct-guard exports (`llama`, `qwen2`) are checked tensor by tensor; of others
what they all have in common, and llama.cpp checks the rest itself.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf.constants import GGMLQuantizationType, GGUFValueType

from ct_guard.errors import BackendError, MismatchError

from .gguf_header import Field, InvalidGGUF, TensorInfo, read_header
from .gguf_vocabulary import check_vocabulary

__all__ = [
    "BASE_FINGERPRINT",
    "FINGERPRINT",
    "INVOCATION_TOKENS",
    "LABEL_IDS",
    "NORMALIZER",
    "GGUFInfo",
    "validate_adapter",
    "validate_base",
]

FINGERPRINT = "ct_guard.fingerprint"
"""Key of a base: the fingerprint of the Hugging Face directory that it was converted from."""
BASE_FINGERPRINT = "ct_guard.base_fingerprint"
"""Key of an adapter: the fingerprint of the base that it belongs to."""
NORMALIZER = "ct_guard.normalizer"
"""Key of a base: the Unicode form (NFC, NFKC…) to bring texts into before llama.cpp encodes them,
which it does not do itself."""
LABEL_IDS = "ct_guard.label_ids"
"""Key of a base: ids of the query's labels, (no, yes), as the original tokenizer has them."""
INVOCATION_TOKENS = "adapter.alora.invocation_tokens"

_CHECKED = ("llama", "qwen2")
_MAX_LAYERS = 512
_MAX_EXPERTS = 512
_MAX_CONTEXT = 1 << 27
_ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")
_NO_WEIGHTS = {
    GGMLQuantizationType[name]
    for name in ("I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K")
}  # fmt: skip
"""Types that llama.cpp stores nothing to multiply with in."""

_Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class GGUFInfo:
    """A base file that passed: what a backend needs to know of it before loading."""

    path: Path
    architecture: str
    fields: Mapping[str, Field]
    tensors: Mapping[str, TensorInfo]

    @property
    def fingerprint(self) -> str:
        """Of the directory it was converted from; "" when it was not converted by ct-guard."""
        return str(self.get(FINGERPRINT, ""))

    @property
    def vocabulary_size(self) -> int:
        return len(self.get("tokenizer.ggml.tokens", ()))

    @property
    def context_length(self) -> int:
        """Tokens that the model was trained to read."""
        return int(self.own("context_length"))

    @property
    def layers(self) -> int:
        return int(self.own("block_count"))

    @property
    def heads(self) -> int:
        return _most(self.own("attention.head_count"))

    @property
    def kv_heads(self) -> int:
        return _most(self.own("attention.head_count_kv", self.heads))

    @property
    def head_size(self) -> int:
        return int(self.own("attention.key_length", self.own("embedding_length") // self.heads))

    @property
    def weight_bytes(self) -> int:
        return sum(tensor.size for tensor in self.tensors.values())

    @property
    def chat_template(self) -> str | None:
        text = self.get("tokenizer.chat_template")
        return None if text is None else str(text)

    def get(self, key: str, default: Any = None) -> Any:
        """A key's value, or the default."""
        field = self.fields.get(key)
        return default if field is None else field.value

    def own(self, key: str, default: Any = None) -> Any:
        """The value of one of the architecture's own keys."""
        return self.get(f"{self.architecture}.{key}", default)


def validate_base(path: Path) -> GGUFInfo:
    """Check a base model's file from magic to last tensor; its weights are not read.

    Raises BackendError that names the file, the field and the way out.
    """
    try:
        header = read_header(path)
        _finite(header.fields)
        kind = _text(header.fields, "general.type", "model")
        if kind != "model":
            raise InvalidGGUF(f"general.type is {kind!r}: this is no base model")
        parts = header.fields.get("split.count")
        if parts is not None and parts.value > 1:
            raise InvalidGGUF(
                f"it is one of {parts.value} parts: join them with llama-gguf-split --merge"
            )
        architecture = _text(header.fields, "general.architecture")
        info = GGUFInfo(path, architecture, header.fields, header.tensors)
        _check_numbers(info)
        check_vocabulary(header.fields)
        _check_tensors(info)
    except (InvalidGGUF, OSError) as error:
        raise BackendError(
            f"cannot use the base model {path}: {error}; fetch or export it again"
        ) from error
    return info


def validate_adapter(path: Path, base: GGUFInfo) -> None:
    """Check that a file is a LoRA, whole, and fits `base`.

    Raises MismatchError that names the file, the field and the way out.
    """
    try:
        header = read_header(path)
        _finite(header.fields)
        for key, expected in (
            ("general.type", "adapter"),
            ("adapter.type", "lora"),
            ("general.architecture", base.architecture),
        ):
            if (found := _text(header.fields, key)) != expected:
                raise InvalidGGUF(f"{key} is {found!r} and must be {expected!r}")
        alpha = header.fields.get("adapter.lora.alpha")
        if alpha is not None and alpha.type != GGUFValueType.FLOAT32:
            raise InvalidGGUF("adapter.lora.alpha must be a float32")
        tokens = header.fields.get(INVOCATION_TOKENS)
        if tokens is not None and (
            tokens.items != GGUFValueType.UINT32 or (tokens.value >= base.vocabulary_size).any()
        ):
            raise InvalidGGUF(f"{INVOCATION_TOKENS} must be uint32 ids below the vocabulary's size")
        made_for = _text(header.fields, BASE_FINGERPRINT, "")
        if made_for and base.fingerprint and made_for != base.fingerprint:
            raise InvalidGGUF(
                f"it was made for the base {made_for}, and {base.path} is {base.fingerprint}"
            )
        _check_pairs(header.tensors, base.tensors)
    except (InvalidGGUF, OSError) as error:
        raise MismatchError(
            f"cannot use the adapter {path}: {error}; export it again, or give its own base"
        ) from error


def _finite(fields: Mapping[str, Field]) -> None:
    for key, field in fields.items():
        if isinstance(field.value, float) and not math.isfinite(field.value):
            raise InvalidGGUF(f"{key} is {field.value}")


def _text(fields: Mapping[str, Field], key: str, default: str | None = None) -> str:
    field = fields.get(key)
    if field is None and default is not None:
        return default
    if field is None or field.type != GGUFValueType.STRING:
        raise InvalidGGUF(f"{key} is missing or not a text")
    return str(field.value)


def _most(value: Any) -> int:
    """Some architectures have a number for each layer."""
    return int(value) if isinstance(value, int) else int(max(value, default=0))


def _check_numbers(info: GGUFInfo) -> None:
    """Numbers that llama.cpp asserts, divides by or allocates for."""

    def within(key: str, low: float, high: float, default: float | None = None) -> None:
        value = info.own(key, default)
        each = np.atleast_1d(value)
        if each.dtype.kind not in "biuf" or not each.size:
            raise InvalidGGUF(f"{info.architecture}.{key} is missing or not a number")
        if not ((each >= low) & (each <= high)).all():
            raise InvalidGGUF(
                f"{info.architecture}.{key} is {value} and must be from {low} to {high}"
            )

    within("block_count", 1, _MAX_LAYERS)
    within("context_length", 1, _MAX_CONTEXT)
    within("embedding_length", 1, 1 << 20)
    width = int(info.own("embedding_length"))
    within("embedding_length_out", width, width, width)
    within("attention.head_count", 1, 1 << 14)
    within("attention.head_count_kv", 0, 1 << 14, 1)
    within("attention.key_length", 1, 1 << 14, 1)
    within("attention.value_length", 1, 1 << 14, 1)
    within("attention.layer_norm_rms_epsilon", 0.0, 1.0, 0.0)
    within("attention.layer_norm_epsilon", 0.0, 1.0, 0.0)
    within("attention.causal", 1, 1, 1)
    within("rope.freq_base", 1e-3, 1e12, 1e4)
    within("rope.scaling.factor", 0.0, 1e6, 1.0)
    within("nextn_predict_layers", 0, info.layers, 0)
    within("expert_count", 0, _MAX_EXPERTS, 0)
    experts = int(info.own("expert_count", 0))
    within("expert_used_count", min(experts, 1), experts, min(experts, 1))
    groups = int(info.own("expert_group_count", 0))
    within("expert_group_count", 0, max(experts - 1, 0), 0)
    if groups > 1 and (
        experts % groups or not 0 < int(info.own("expert_group_used_count", 0)) < groups
    ):
        raise InvalidGGUF(f"{experts} experts do not fall into {groups} groups")
    scaling = _text(info.fields, f"{info.architecture}.rope.scaling.type", "none")
    if scaling not in _ROPE_SCALINGS:
        raise InvalidGGUF(f"{info.architecture}.rope.scaling.type is {scaling!r}")


def _check_tensors(info: GGUFInfo) -> None:
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


def _layout(
    info: GGUFInfo,
) -> tuple[_Shapes, _Shapes]:
    """Shapes of the tensors that `llama` and `qwen2` must and may have."""
    name = info.architecture
    width, hidden = int(info.own("embedding_length")), info.own("feed_forward_length")
    counts = (hidden, info.own("attention.head_count"), info.own("attention.head_count_kv", 1))
    if not all(isinstance(count, int) for count in counts):
        raise InvalidGGUF(f"{name} has one feed_forward_length and head_count for all layers")
    head, heads, kv_heads = info.head_size, info.heads, info.kv_heads
    if (
        head % 2
        or not kv_heads
        or heads % kv_heads
        or info.own("attention.value_length", head) != head
        or info.own("rope.dimension_count", head) != head
        or (name == "qwen2" and head * heads != width)
    ):
        raise InvalidGGUF(
            f"{heads} heads, {kv_heads} of them for keys, of {head} numbers do not fit the width"
            f" {width} and the rotary dimensions: {name}.attention.* is damaged"
        )
    if name + ".attention.layer_norm_rms_epsilon" not in info.fields:
        raise InvalidGGUF(f"{name}.attention.layer_norm_rms_epsilon is missing")
    queries, keys = head * heads, head * kv_heads
    required: _Shapes = {"output_norm.weight": (width,)}
    optional: _Shapes = {"rope_freqs.weight": (head // 2,)}
    for block in (f"blk.{layer}." for layer in range(info.layers)):
        required |= {
            f"{block}attn_norm.weight": (width,),
            f"{block}attn_q.weight": (width, queries),
            f"{block}attn_k.weight": (width, keys),
            f"{block}attn_v.weight": (width, keys),
            f"{block}attn_output.weight": (queries, width),
            f"{block}ffn_norm.weight": (width,),
        }
        optional |= {
            f"{block}attn_q.bias": (queries,),
            f"{block}attn_k.bias": (keys,),
            f"{block}attn_v.bias": (keys,),
            f"{block}attn_output.bias": (width,),
            f"{block}ffn_gate.bias": (hidden,),
            f"{block}ffn_up.bias": (hidden,),
            f"{block}ffn_down.bias": (width,),
        }
        if not _experts(info):
            required |= {
                f"{block}ffn_gate.weight": (width, hidden),
                f"{block}ffn_up.weight": (width, hidden),
                f"{block}ffn_down.weight": (hidden, width),
            }
    return required, optional


def _check_pairs(tensors: Mapping[str, TensorInfo], base: Mapping[str, TensorInfo]) -> None:
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
