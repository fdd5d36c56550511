"""Attention in which heads that share keys and values read them where they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

__all__ = ["grouped_attention"]

_NAME = "ct_guard_grouped"


@contextmanager
def grouped_attention(model: Any) -> Iterator[None]:
    """Inside, a model in float32 on a CPU attends without a copy of keys and values for every head.

    PyTorch's own attention needs these copies where a mask is given, and gradients as large, of
    which those of what a cache holds are thrown away: for few tokens behind a long cache that takes
    more time than attending. Any other model goes on as it does.
    """
    config = model.config.get_text_config()
    before = config._attn_implementation
    if before == "sdpa" and model.device.type == "cpu" and model.dtype == torch.float32:
        config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """As transformers' `sdpa`: query [B, heads, n, d], key and value [B, groups, L, d], mask
    [B, 1, n, L], True or 0 where a token is seen; gives [B, n, heads, d]."""
    known = options.get("dropout", 0.0) == 0.0 and options.get("position_bias") is None
    if attention_mask is None or not known:
        made: tuple[torch.Tensor, torch.Tensor | None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )
        return made
    batch, heads, count, width = query.shape
    groups, length = key.shape[1:3]
    scaling = options.get("scaling")
    query = query * (width**-0.5 if scaling is None else scaling)
    scores = query.reshape(batch, groups, -1, width) @ key.transpose(2, 3)
    scores = scores.view(batch, heads, count, length)
    if attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    else:
        scores = scores + attention_mask
    weights = scores.softmax(-1).view(batch, groups, -1, length)
    read = (weights @ value).view(batch, heads, count, -1)
    return read.transpose(1, 2).contiguous(), None


AttentionInterface.register(_NAME, _attend)
AttentionMaskInterface.register(_NAME, sdpa_mask)
