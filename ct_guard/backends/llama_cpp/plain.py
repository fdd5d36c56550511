"""Rows read as plainly as llama.cpp can: a sequence of their own, in as few decodes as possible."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.base import PlainRow
from ct_guard.errors import UsageError

from .context import Context
from .rows import Row

__all__ = ["read_plainly"]


def read_plainly(
    cache: Context, row: PlainRow, tokens: Sequence[int], adapter: Any
) -> NDArray[np.float32]:
    """See `Backend.read_plainly`. Raises UsageError for a jump, which llama.cpp does not do."""
    if row.jump is not None:
        raise UsageError("llama.cpp reads tokens at successive positions only")
    stops = sorted({0, row.acts.start, row.acts.stop, len(row.ids)})
    ids, targets = np.array(row.ids, np.int64), np.array(tokens, np.int64)
    slot, other = cache.new(), cache.new()
    try:
        for start, stop in pairwise(stops):
            on = start in row.acts
            if stop < len(row.ids):
                part = Row(slot, ids[start:stop])
            else:
                part = Row(slot, ids[start:], np.full(len(targets), stop - 1 - start), targets)
            company = [Row(other, np.array(row.beside, np.int64))] if row.beside else []
            *_, reading = cache.read([*company, part], adapter if on else None)
        return reading.logprobs
    finally:
        cache.free(slot)
        cache.free(other)
