"""Attention as PyTorch has it, for two readings that it has no fast way for: few tokens behind a
long cache, and a tree."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

__all__ = ["grouped_attention", "trunk_attention"]

_GROUPED, _TRUNK = "ct_guard_grouped", "ct_guard_trunk"
_trunk: ContextVar[int] = ContextVar("trunk")

_NOT_OURS = ("position_bias", "softcap", "s_aux")
"""What a model may ask of its attention that is left to transformers."""


@contextmanager
def grouped_attention(model: Any) -> Iterator[None]:
    """Inside, a model on a CPU attends without a copy of keys and values for every head: one in
    float32, and while it is trained one in bfloat16.

    PyTorch's own attention needs these copies where a mask is given, and gradients as large, of
    which those of what a cache holds are thrown away: for few tokens behind a long cache that takes
    more time than attending. In bfloat16 scores are rounded on the way, which learning bears and
    what is read for its own sake is spared. Any other model goes on as it does.
    """
    kinds = (torch.float32, torch.bfloat16) if model.training else (torch.float32,)
    fits = model.device.type == "cpu" and model.dtype in kinds
    with _attending(model, _GROUPED if fits else None):
        yield


@contextmanager
def trunk_attention(model: Any, length: int) -> Iterator[None]:
    """Inside, the first `length` tokens of a row on a CPU are read by the causal kernel, which does
    not look at what a mask leaves out (about half of it), and the others without copies of keys and
    values.

    For one row without padding whose mask is causal up to `length`, and behind no cache. Any other
    model goes on as it does.
    """
    token = _trunk.set(length)
    try:
        with _attending(model, _TRUNK if length > 1 and model.device.type == "cpu" else None):
            yield
    finally:
        _trunk.reset(token)


@contextmanager
def _attending(model: Any, name: str | None) -> Iterator[None]:
    """Inside, a model that attends by PyTorch's function and can be told another uses ours."""
    config = model.config.get_text_config()
    before = config._attn_implementation
    if name is not None and before == "sdpa" and model._supports_attention_backend:
        config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before


def _grouped(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, scale: float
) -> torch.Tensor:
    """Query [B, heads, n, d], key and value [B, groups, L, d], mask [B, 1, n, L], True or 0 where a
    token is seen; gives [B, heads, n, d]."""
    batch, heads, count, width = query.shape
    groups, length = key.shape[1:3]
    scores = (query * scale).reshape(batch, groups, -1, width) @ key.transpose(2, 3)
    if mask.dtype == torch.bool:  # half the least, so that a token that sees nothing stays finite
        unseen = torch.finfo(scores.dtype).min / 2
        mask = torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(~mask, unseen)
    scores = scores.view(batch, heads, count, length) + mask
    weights = scores.softmax(-1).view(batch, groups, -1, length)
    return (weights @ value).view(batch, heads, count, -1)


def _behind_trunk(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, scale: float
) -> torch.Tensor:
    """The same, of n = L tokens."""
    at = _trunk.get()
    trunk = scaled_dot_product_attention(
        query[:, :, :at], key[:, :, :at], value[:, :, :at],
        is_causal=True, scale=scale, enable_gqa=True,
    )  # fmt: skip
    if at == query.shape[2]:
        return trunk
    rest = scaled_dot_product_attention(
        query[:, :, at:], key, value, mask[:, :, at:], scale=scale, enable_gqa=True
    )
    return torch.cat([trunk, rest], dim=2)


def _registered(name: str, ours: Callable[..., torch.Tensor]) -> None:
    def attend(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **options: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        asked = any(options.get(each) is not None for each in _NOT_OURS)
        if attention_mask is None or asked or options.get("dropout"):
            made: tuple[torch.Tensor, torch.Tensor | None] = sdpa_attention_forward(
                module, query, key, value, attention_mask, **options
            )
            return made
        scale = options.get("scaling")
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        return ours(query, key, value, attention_mask, scale).transpose(1, 2).contiguous(), None

    AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(name, sdpa_mask)


_registered(_GROUPED, _grouped)
_registered(_TRUNK, _behind_trunk)
