"""GGUF files are checked here before llama.cpp sees them: what it answers with an abort of the
process is an error of ours.

The architectures that ct-guard exports (`gguf_tensors`) are checked tensor by tensor; of others
what they all have in common, and llama.cpp checks the rest itself.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from gguf.constants import GGUFValueType

from ct_guard.errors import BackendError, MismatchError

from .gguf_header import Field, InvalidGGUF, read_header
from .gguf_info import (
    BASE_FINGERPRINT,
    FINGERPRINT,
    INVOCATION_TOKENS,
    LABEL_IDS,
    NORMALIZER,
    GGUFInfo,
)
from .gguf_tensors import check_pairs, check_tensors
from .gguf_vocabulary import check_vocabulary

__all__ = ["validate_adapter", "validate_base"]

_MAX_LAYERS = 512
_MAX_EXPERTS = 512
_MAX_CONTEXT = 1 << 27
_FAULTS = (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
"""InvalidGGUF among them, and what comes of a key that is of another type than it has to be."""
_ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")


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
        check_vocabulary(header.fields)
        _check_numbers(info)
        _check_own(info)
        check_tensors(info)
    except _FAULTS as error:
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
        check_pairs(header.tensors, base.tensors)
    except _FAULTS as error:
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


def _check_own(info: GGUFInfo) -> None:
    """Keys that ct-guard reads itself."""
    form = _text(info.fields, NORMALIZER, "NFC")
    if form not in ("NFC", "NFD", "NFKC", "NFKD"):
        raise InvalidGGUF(f"{NORMALIZER} is {form!r}, no form of Unicode")
    for key in (FINGERPRINT, "tokenizer.chat_template", "tokenizer.ggml.pre"):
        _text(info.fields, key, "")
    labels = info.fields.get(LABEL_IDS)
    if labels is not None and (
        labels.items != GGUFValueType.UINT32
        or len(labels.value) != 2
        or (labels.value >= info.vocabulary_size).any()
    ):
        raise InvalidGGUF(f"{LABEL_IDS} must be two uint32 ids below the vocabulary's size")


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
    vocabulary = info.vocabulary_size
    within("vocab_size", vocabulary, vocabulary, vocabulary)
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
    within("expert_used_count", min(experts, 1), experts, 0)
    groups = int(info.own("expert_group_count", 0))
    within("expert_group_count", 0, max(experts - 1, 0), 0)
    if groups > 1 and (
        experts % groups or not 0 < int(info.own("expert_group_used_count", 0)) < groups
    ):
        raise InvalidGGUF(f"{experts} experts do not fall into {groups} groups")
    scaling = _text(info.fields, f"{info.architecture}.rope.scaling.type", "none")
    if scaling not in _ROPE_SCALINGS:
        raise InvalidGGUF(f"{info.architecture}.rope.scaling.type is {scaling!r}")
