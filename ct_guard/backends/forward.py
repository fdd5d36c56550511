"""The one forward step that scoring and tuning share: read rows of tokens behind a cache.

Rows are left-padded, so the last column is every row's last token. A cache may hold padding
anywhere: a mask says which slots count, and positions follow from it, so that a row's arithmetic
does not depend on its neighbours.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from packaging.version import Version
from transformers import DynamicCache

from ct_guard.errors import BackendError, UsageError

from .base import KV

__all__ = ["CACHE", "Past", "Step", "cropped", "extend", "live", "select"]

CACHE = "cache" if Version(transformers.__version__) >= Version("5.24") else "past_key_values"
"""The keyword by which a model takes its cache."""


@dataclass(frozen=True)
class Past:
    """What B rows have read: `cache` with L slots, `mask` [B, L] (1 = a token, 0 = padding)."""

    cache: DynamicCache
    mask: torch.Tensor


@dataclass(frozen=True)
class Step:
    """`logits` [B, keep, V] at the last `keep` columns; `hidden` [B, d] at the last column."""

    logits: torch.Tensor
    hidden: torch.Tensor | None
    past: Past


def extend(
    model: Any,
    rows: Sequence[Sequence[int]],
    past: Past | None = None,
    *,
    keep: int = 1,
    want_hidden: bool = False,
    cached: bool = True,
) -> Step:
    """Read `rows` (token ids, each at least one) behind `past`, which stays as it was.

    `model` is a Hugging Face causal LM. Gradients flow where they are enabled. `cached` False, for
    rows that nothing follows, keeps no cache: the step's `past` is empty.
    """
    device = model.device
    width = max(map(len, rows))
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, width - len(row) :] = torch.tensor(row, dtype=torch.long)
        mask[number, width - len(row) :] = 1
    ids, mask = ids.to(device), mask.to(device)
    seen = past.mask if past is not None else mask.new_zeros((len(rows), 0))
    positions = (seen.sum(1, keepdim=True) + mask.cumsum(1) - 1).clamp(min=0)
    full_mask = torch.cat([seen, mask], dim=1)
    cache = _branch(past.cache) if past is not None else DynamicCache(config=model.config)
    output = model(
        input_ids=ids,
        attention_mask=full_mask,
        position_ids=positions,
        use_cache=cached,
        logits_to_keep=keep,
        output_hidden_states=want_hidden,
        **({CACHE: cache} if cached else {}),
    )
    hidden = output.hidden_states[-1][:, -1] if want_hidden else None
    return Step(output.logits[:, -keep:], hidden, Past(cache, full_mask))


def select(past: Past, index: Sequence[int]) -> Past:
    """Rows of `past` by number, repeated as asked."""
    rows = torch.tensor(index, device=past.mask.device)
    cache = _branch(past.cache)
    cache.batch_select_indices(rows)
    return Past(cache, past.mask[rows])


def live(kv: KV) -> Past:
    """The cache that a KV holds. Raises BackendError when it was released, UsageError when another
    backend made it."""
    if kv.handle is None:
        raise BackendError("this cache was released: generate again")
    if not isinstance(kv.handle, Past):
        raise UsageError("this cache was made by another backend")
    return kv.handle


def cropped(past: Past, length: int) -> Past | None:
    """The first `length` slots of `past`; None for a cache that cannot go back, such as a sliding
    window that has moved on."""
    cache = _branch(past.cache)
    try:
        cache.crop(length - past.mask.shape[1])
    except RuntimeError:
        return None
    return Past(cache, past.mask[:, :length]) if length else None


def _branch(cache: DynamicCache) -> DynamicCache:
    """A cache that can grow without touching the original; shares its tensors, which appending
    replaces and never writes to."""
    branch = copy.copy(cache)
    branch.layers = [copy.copy(layer) for layer in cache.layers]
    return branch
