"""One call of `LlamaCppBackend.ask`: an answer is read once, and queries go on in its cells."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.base import KV, Asked, Asking
from ct_guard.errors import NonFiniteScoreError, UsageError
from ct_guard.query import Query

from .context import Context
from .rows import Row, Slot

__all__ = ["ask"]

_Branch = tuple[int, Query]
"""A query and its number."""


def ask(cache: Context, asking: Asking, handle: Any, first_handle: Any) -> Asked:
    """See `Backend.ask`. The backend's lock is held; the handles are those of the adapters."""
    logits = np.zeros((len(asking.queries) + 1, 2), np.float32)
    with _trunk(cache, asking, handle if asking.everywhere else None) as (trunk, logprobs):
        rows = list(enumerate(asking.queries))
        first = [] if asking.first is None else [(len(rows), asking.first)]
        state = None
        if asking.state and asking.first is not None:
            logits[-1], state = _ask_for_state(cache, trunk, asking.first, first_handle)
            _ask(cache, trunk, rows, handle, logits)
        elif handle is first_handle:
            _ask(cache, trunk, rows + first, handle, logits)
        else:
            _ask(cache, trunk, rows, handle, logits)
            _ask(cache, trunk, first, first_handle, logits)
    if not np.isfinite(logits).all():
        raise NonFiniteScoreError("the model returned NaN or infinite logits: check its file")
    return Asked(logits[:-1], logits[-1] if first else None, logprobs, state)


@contextmanager
def _trunk(
    cache: Context, asking: Asking, adapter: Any
) -> Iterator[tuple[Slot, NDArray[np.float32] | None]]:
    """A sequence of context and answer, and the answer's log-probabilities, where they are
    wanted."""
    item = asking.item
    if isinstance(item.context, KV):
        kv = item.context
        context, answer = kv.ids[: kv.answer_start], kv.ids[kv.answer_start :]
    else:
        context, answer = item.context, item.answer
    if not answer or not context:
        raise UsageError("an answer or a context without tokens cannot be scored")
    if isinstance(item.context, KV) and adapter is None:
        cache.check(item.context.handle)
        yield item.context.handle, item.context.answer_logprobs if asking.logprobs else None
        return
    slot = cache.new()
    try:
        count = len(answer) if asking.logprobs else 0
        at = np.arange(len(context) - 1, len(context) - 1 + count)
        row = Row(slot, _ids((*context, *answer)), at, _ids(answer[:count]))
        (reading,) = cache.read([row], adapter)
        yield slot, reading.logprobs if asking.logprobs else None
    finally:
        cache.free(slot)


def _ask(
    cache: Context,
    trunk: Slot,
    branches: Sequence[_Branch],
    adapter: Any,
    logits: NDArray[np.float32],
) -> None:
    """As many queries at a time as there are sequences and cells for."""
    start, length = 0, cache.length(trunk)
    while start < len(branches):
        most = max(1, min(len(branches) - start, cache.free_sequences))
        part = branches[start : start + most]
        slots: list[Slot] = []
        try:
            for _ in part:
                slots.append(cache.fork(trunk, length))
            rows = [
                Row(slot, _ids(query.ids), pick=_ids(query.label_ids))
                for slot, (_, query) in zip(slots, part, strict=True)
            ]
            readings = cache.read_tree(rows, adapter)
        finally:
            for slot in slots:
                cache.free(slot)
        for (number, _), reading in zip(part, readings, strict=True):
            logits[number] = reading.logits
        start += most


def _ask_for_state(
    cache: Context, trunk: Slot, query: Query, adapter: Any
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One query's logits and last hidden state: by itself, as every token of such a read gets
    logits."""
    slot = cache.fork(trunk, cache.length(trunk))
    try:
        *begin, last = query.ids
        if begin:
            cache.read([Row(slot, _ids(begin))], adapter)
        row = Row(slot, _ids([last]), pick=_ids(query.label_ids))
        (reading,) = cache.read([row], adapter, hidden=True)
        return reading.logits, reading.hidden
    finally:
        cache.free(slot)


def _ids(ids: Sequence[int]) -> NDArray[np.int64]:
    return np.array(ids, np.int64)
