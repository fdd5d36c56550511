"""Attention of a tree whose first tokens stand in one line, as answers do in front of queries."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention as attention
from torch.overrides import TorchFunctionMode

__all__ = ["TrunkAttention"]


class TrunkAttention(TorchFunctionMode):
    """A context in which the first `length` tokens [batch, heads, tokens, d] of each attention are
    read by the causal kernel, which does not look at what a mask leaves out: about half of it.

    For rows without padding whose mask is causal up to `length`, and behind no cache. Models that
    compute their attention in another way do as they always do.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is not attention or len(args) != 3 or kwargs.get("attn_mask") is None:
            return func(*args, **kwargs)
        query, key, value = args
        mask, at = kwargs.pop("attn_mask"), self.length
        line = [each[..., :at, :] for each in (query, key, value)]
        trunk = func(*line, **{**kwargs, "is_causal": True})
        rest = func(query[..., at:, :], key, value, attn_mask=mask[..., at:, :], **kwargs)
        return torch.cat([trunk, rest], dim=-2)
