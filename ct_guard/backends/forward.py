"""The one forward step that scoring and tuning share: read rows of tokens behind a cache.

Rows are left-padded, so the last column is every row's last token. A cache may hold padding
anywhere: a mask says which slots count, and positions follow from it, so that a row's arithmetic
does not depend on its neighbours.
"""

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from packaging.version import Version
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from ct_guard.errors import BackendError, UsageError

from .attention import trunk_attention
from .base import KV
from .head import Head
from .placement import out_of_memory
from .tree import Tree

__all__ = [
    "CACHE",
    "Decoder",
    "Past",
    "Step",
    "cropped",
    "join",
    "live",
    "rounded",
    "select",
    "split",
]

Ints = NDArray[np.int64]

CACHE = "cache" if Version(transformers.__version__) >= Version("5.24") else "past_key_values"
"""The keyword by which a model takes its cache."""

_ROWS = 32
"""Rows of a matrix that kernels take at a time: fewer cost as many."""

_TRIAL_PAST = (5, 6, 7, 8, 9)
_TRIAL_ROWS = ((1, 2, 3), (1, 2, 4, 5, 6), (7, 8))
"""Token ids, which every vocabulary has."""


@dataclass(frozen=True)
class Past:
    """What B rows have read: `cache` with L slots, `mask` [B, L] (1 = a token, 0 = padding)."""

    cache: DynamicCache
    mask: torch.Tensor


@dataclass(frozen=True)
class Step:
    """`hidden` [B, columns, d]: behind the final norm, at the columns of what was read, padding on
    the left."""

    hidden: torch.Tensor
    past: Past


class Decoder:
    """The layers of a Hugging Face causal language model, and its output layer apart from them: the
    logits of a vocabulary are made where they are wanted, see `Head`."""

    def __init__(self, model: Any) -> None:
        """Raises BackendError for a model whose layers cannot be told from the rest of it."""
        self.model = model
        self.layers = model.base_model
        if self.layers is model:
            raise BackendError(
                f"{type(model).__name__} does not name its layers apart from its output layer,"
                " which ct-guard reads them by: choose a base of another architecture"
            )
        self.takes_positions = "position_ids" in inspect.signature(self.layers.forward).parameters
        kind = next(model.parameters()).dtype
        self.few_sizes = model.device.type == "cpu" and kind in (torch.bfloat16, torch.float16)

    @property
    def head(self) -> Head:
        return Head.of(self.model)

    def read(
        self, rows: Sequence[Sequence[int]], past: Past | None = None, *, cached: bool = True
    ) -> Step:
        """Read `rows` (token ids, each at least one) behind `past`, which stays as it was.

        Gradients flow where they are enabled. `cached` False is for rows that nothing follows:
        without a `past`, none is made.
        """
        device = self.model.device
        width = max(map(len, rows))
        if self.few_sizes and len(rows) > 1:
            width = rounded(width)
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, width - len(row) :] = torch.tensor(row, dtype=torch.long)
            mask[number, width - len(row) :] = 1
        ids, mask = ids.to(device), mask.to(device)
        seen = past.mask if past is not None else mask.new_zeros((len(rows), 0))
        positions = (seen.sum(1, keepdim=True) + mask.cumsum(1) - 1).clamp(min=0)
        full_mask = torch.cat([seen, mask], dim=1)
        cache = _branch(past.cache) if past is not None else DynamicCache(config=self.model.config)
        used = cached or past is not None
        with _named_errors():
            output = self.layers(
                input_ids=ids,
                attention_mask=full_mask,
                use_cache=used,
                **({"position_ids": positions} if self.takes_positions else {}),
                **({CACHE: cache} if used else {}),
            )
        return Step(output.last_hidden_state, Past(cache, full_mask))

    def read_tree(self, tree: Tree, past: Past | None = None) -> torch.Tensor:
        """Hidden states [n, d] of a tree's tokens behind the one row of `past`, which stays as it
        was: each token sees that row and its own ancestors. Right where `reads_trees` is."""
        trunk = tree.trunk if past is None else 0
        with trunk_attention(self.model, trunk - trunk % _ROWS or trunk):
            return self._read_among(tree.ids, tree.ancestors, tree.depths, past)

    def _read_among(
        self, tokens: Ints, sees: NDArray[np.bool_], behind: Ints, past: Past | None
    ) -> torch.Tensor:
        """Tokens that see `past` and, as `sees` [n, n] says, each other, `behind` it by so many."""
        device, kind = self.model.device, next(self.model.parameters()).dtype
        before = torch.zeros((1, 0), device=device) if past is None else past.mask
        count = len(tokens)
        width = -(-count // _ROWS) * _ROWS if self.few_sizes else count
        ids, depths = np.zeros((2, width), np.int64)
        ids[:count], depths[:count] = tokens, behind
        seen = np.eye(width, dtype=np.bool_)
        seen[:count, :count] = sees
        allowed = torch.cat(
            [before.bool().expand(width, -1), torch.from_numpy(seen).to(device)], dim=1
        )
        mask = torch.zeros((1, 1, *allowed.shape), dtype=kind, device=device)
        mask.masked_fill_(~allowed, torch.finfo(kind).min)
        positions = before.long().sum(1, keepdim=True) + torch.from_numpy(depths).to(device)
        with _named_errors():
            output = self.layers(
                input_ids=torch.from_numpy(ids)[None].to(device),
                attention_mask=mask,
                position_ids=positions,
                use_cache=past is not None,
                **({} if past is None else {CACHE: _branch(past.cache)}),
            )
        hidden: torch.Tensor = output.last_hidden_state[0, :count]
        return hidden

    @cached_property
    def reads_trees(self) -> bool:
        """Whether a tree is read as its rows would be, one by one. Tried once, on a small one: what
        comes of it must be nearer to that than what comes where the mask, or the positions, are
        passed over."""
        if not self.takes_positions:
            return False
        rows = _TRIAL_ROWS
        tree = Tree.of(rows)
        ends = torch.from_numpy(tree.ends)
        with torch.inference_mode():
            try:
                past = self.read([_TRIAL_PAST]).past
                if not all(type(layer) is DynamicLayer for layer in past.cache.layers):
                    return False
                truth = torch.cat([self.read([row], past).hidden[0, -1:] for row in rows])
                found = self.read_tree(tree, past)[ends]
                whole = Tree.of([(*_TRIAL_PAST, *row) for row in rows])
                alone = self.read_tree(whole)[torch.from_numpy(whole.ends)]
                rank = np.arange(len(tree.ids))
                faults = (
                    self._read_among(tree.ids, rank[:, None] >= rank, tree.depths, past)[ends],
                    self._read_among(tree.ids, tree.ancestors, rank, past)[ends],
                )
            except BackendError:
                return False
        gaps = [torch.dist(one.double(), truth.double()) for one in (found, alone, *faults)]
        return bool(2 * max(gaps[:2]) < min(gaps[2:]))


def rounded(length: int) -> int:
    """The next of few lengths, at most a quarter above: on CPUs, every new shape of a 16-bit
    product is compiled, and kept."""
    step = max(8, 1 << max(0, length.bit_length() - 3))
    return -(-length // step) * step


def select(past: Past, index: Sequence[int]) -> Past:
    """Rows of `past` by number, repeated as asked."""
    rows = torch.tensor(index, device=past.mask.device)
    cache = _branch(past.cache)
    with _named_errors():
        cache.batch_select_indices(rows)
    return Past(cache, past.mask[rows])


def split(past: Past) -> list[Past] | None:
    """Every row on its own, without padding, in memory of its own. None for a cache that does not
    keep every token's keys and values: a window, a state."""
    layers: list[Any] = list(past.cache.layers)
    if not all(type(layer) is DynamicLayer for layer in layers):
        return None
    rows = []
    for number, mask in enumerate(past.mask.bool()):
        own = slice(number, number + 1)
        data = [(layer.keys[own, :, mask], layer.values[own, :, mask]) for layer in layers]
        rows.append(Past(DynamicCache(data), past.mask.new_ones((1, int(mask.sum())))))
    return rows


def join(rows: Sequence[Past]) -> Past:
    """What `split` gave, of any calls, as one batch with padding on the left."""
    width = max(row.mask.shape[1] for row in rows)
    mask = rows[0].mask.new_zeros((len(rows), width))
    for number, row in enumerate(rows):
        mask[number, width - row.mask.shape[1] :] = 1
    data = [
        tuple(
            torch.cat([_padded(getattr(layer, name), width) for layer in layers])
            for name in ("keys", "values")
        )
        for layers in zip(*(row.cache.layers for row in rows), strict=True)
    ]
    return Past(DynamicCache(data), mask)


def _padded(states: torch.Tensor, width: int) -> torch.Tensor:
    """States [1, heads, tokens, d] with zeros in front, up to `width` tokens."""
    return torch.nn.functional.pad(states, (0, 0, width - states.shape[2], 0))


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
    except (RuntimeError, ValueError):  # which of them depends on the version
        return None
    return Past(cache, past.mask[:, :length]) if length else None


@contextmanager
def _named_errors() -> Iterator[None]:
    """An architecture that cannot read with padding, positions or a cache says so in many ways."""
    try:
        yield
    except (
        AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError,
        ValueError,
    ) as error:  # fmt: skip
        if isinstance(error, RuntimeError) and out_of_memory(error):
            raise
        what = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise BackendError(f"this base model cannot be read so: {what[0]}") from error


def _branch(cache: DynamicCache) -> DynamicCache:
    """A cache that can grow without touching the original; shares its tensors, which appending
    replaces and never writes to."""
    branch = copy.copy(cache)
    branch.layers = [copy.copy(layer) for layer in cache.layers]
    return branch
