"""How an answer is read token by token, for the loop that every backend's `stream` runs."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.base import KV
from ct_guard.backends.decoding import common_prefix

from .context import Context
from .rows import EVERY_LOGIT, Row, Slot

__all__ = ["SlotReader"]


class Engine(Protocol):
    """What a reader needs of the backend that runs it."""

    @property
    def cache(self) -> Context: ...

    def working(self) -> AbstractContextManager[None]: ...


class SlotReader:
    """A `Reader` that begins with what `past` and `prompt` have in common: the same cells, in a
    sequence of its own, so that `past` stays as it was."""

    def __init__(self, backend: Engine, prompt: Sequence[int], past: KV | None) -> None:
        self._backend = backend
        self._slot: Slot | None = None
        self._ids: list[int] = []
        if past is not None:
            backend.cache.check(past.handle)
            # The last token is read in any case: its logits are where the answer begins.
            shared = min(common_prefix(past.ids, prompt), len(prompt) - 1)
            self._slot = backend.cache.fork(past.handle, shared)
            self._ids = list(past.ids[:shared])

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(self._ids)

    def read(self, ids: Sequence[int]) -> NDArray[np.float32]:
        with self._backend.working():
            if self._slot is None:
                self._slot = self._backend.cache.new()
            row = Row(self._slot, np.array(ids, np.int64), pick=EVERY_LOGIT)
            reading = self._backend.cache.read([row])[0]
            self._ids += ids
            return reading.logits

    def cut(self, length: int) -> None:
        with self._backend.working():
            if self._slot is not None:
                self._backend.cache.cut(self._slot, length)
            del self._ids[length:]

    def keep(self) -> Slot | None:
        return self._slot

    def drop(self) -> None:
        # Without the lock, which may not be had any more: the cache frees what nobody holds.
        self._slot, self._ids = None, []
