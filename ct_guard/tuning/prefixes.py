"""What the base has read of context and answer. With activation `query` that never changes: it is
read once, and not once an epoch, as far as memory goes."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ct_guard.backends.forward import Past, join, select, split
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import TuningError

from .data import RenderedAnswer

__all__ = ["Prefixes", "row_length"]

Prefix = tuple[tuple[int, ...], tuple[int, ...]]
"""Context and answer: what the base reads, whatever is asked behind it."""


class Prefixes:
    """Caches of rows, on the model's device; rows that find no room are read anew each time."""

    def __init__(self, backend: TransformersBackend) -> None:
        self._backend = backend
        self.room = 0
        """Bytes that are left."""
        self._kept: dict[Prefix, Past] = {}

    def keep(self, rows: Sequence[RenderedAnswer], on_rows: Callable[[int, int], None]) -> None:
        """Read rows ahead, those of like length together; `on_rows` hears how many of how many."""
        new = {row.prefix: row for row in rows if row.prefix not in self._kept}
        order = sorted(new.values(), key=row_length)
        done = 0

        def read(batch: list[int]) -> None:
            nonlocal done
            if self.room > 0:
                self._read([order[at] for at in batch])
            done += len(batch)
            on_rows(done, len(order))

        self._backend.in_batches(range(len(order)), list(map(row_length, order)), read)

    def of(self, rows: Sequence[RenderedAnswer]) -> Past:
        """Outside of any adapter; nothing of it has a gradient. What several rows have in front of
        their queries, as the fields of one answer do, is read once for all of them."""
        first: dict[Prefix, RenderedAnswer] = {}
        for row in rows:
            first.setdefault(row.prefix, row)
        if all(prefix in self._kept for prefix in first):
            return join([self._kept[row.prefix] for row in rows])
        past = self._read(list(first.values()))
        if len(first) == len(rows):
            return past
        number = {prefix: at for at, prefix in enumerate(first)}
        return select(past, [number[row.prefix] for row in rows])

    @torch.no_grad()
    def _read(self, rows: Sequence[RenderedAnswer]) -> Past:
        past = self._backend.decoder.read([(*row.context, *row.answer) for row in rows]).past
        _check_length(past)
        if self.room > 0 and (apart := split(past)) is not None:
            for row, own in zip(rows, apart, strict=True):
                size = 0 if row.prefix in self._kept else _size(own)
                if size > self.room:
                    self.room = 0
                    break
                self.room -= size
                self._kept[row.prefix] = own
        return past


def row_length(row: RenderedAnswer) -> int:
    return len(row.context) + len(row.answer)


def _size(past: Past) -> int:
    layers: list[Any] = list(past.cache.layers)
    return sum(int(layer.keys.nbytes + layer.values.nbytes) for layer in layers)


def _check_length(past: Past) -> None:
    """A cache that lost tokens would go unnoticed: some models drop it without an error."""
    held, read = past.cache.get_seq_length(), past.mask.shape[1]
    if held != read:
        raise TuningError(
            f"this base model kept {held} of {read} tokens in its cache: tune with activation 'all'"
        )
