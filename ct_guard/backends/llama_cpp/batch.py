"""llama.cpp's input, in arrays of numpy: thousands of tokens are written at once, not one by
one."""

import ctypes
from typing import Any

import numpy as np

from .library import library
from .rows import Layout

__all__ = ["Batch"]


class Batch:
    """Room for `size` tokens, each of one sequence or several."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._tokens = np.zeros(size, np.int32)
        self._positions = np.zeros(size, np.int32)
        self._outputs = np.zeros(size, np.int8)
        self._counts = np.ones(size, np.int32)
        self._pointers = np.zeros(size, np.uintp)
        self._members = np.zeros(0, np.int32)
        """What the pointers point into."""
        self.native: Any = library().llama_batch()
        """The structure that `llama_decode` takes; it points into this object."""
        for name, array in (
            ("token", self._tokens),
            ("pos", self._positions),
            ("n_seq_id", self._counts),
            ("seq_id", self._pointers),
            ("logits", self._outputs),
        ):
            kind = dict(self.native._fields_)[name]
            setattr(self.native, name, ctypes.cast(array.ctypes.data, kind))

    def fill(self, layout: Layout, portion: slice) -> None:
        """Take a portion of at most `size` tokens."""
        count = portion.stop - portion.start
        self._tokens[:count] = layout.tokens[portion]
        self._positions[:count] = layout.positions[portion]
        self._counts[:count] = layout.counts[portion]
        self._members = np.ascontiguousarray(layout.members)
        firsts = np.cumsum(layout.counts, dtype=np.uintp) - layout.counts.astype(np.uintp)
        step = self._members.itemsize
        self._pointers[:count] = self._members.ctypes.data + firsts[portion] * step
        self._outputs[:count] = layout.wanted[portion]
        self.native.n_tokens = count
