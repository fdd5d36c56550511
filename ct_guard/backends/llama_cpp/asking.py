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

_Branch = tuple[int, Query, int]
"""A query's number, its ids, and behind how many tokens it stands."""


def ask(cache: Context, asking: Asking, handle: Any, first_handle: Any) -> Asked:
    """See `Backend.ask`. The backend's lock is held; the handles are those of the adapters."""
    logits = np.zeros((len(asking.queries) + 1, 2), np.float32)
    with _trunk(cache, asking, handle if asking.everywhere else None) as (trunk, end, logprobs):
        whole = cache.length(trunk)
        rows = [(at, query, whole) for at, query in enumerate(asking.queries)]
        first = [] if asking.first is None else [(len(rows), asking.first, end)]
        if handle is first_handle:
            _ask(cache, trunk, rows + first, handle, logits)
        else:
            _ask(cache, trunk, rows, handle, logits)
            _ask(cache, trunk, first, first_handle, logits)
    if not np.isfinite(logits).all():
        raise NonFiniteScoreError("the model returned NaN or infinite logits: check its file")
    return Asked(logits[:-1], logits[-1] if first else None, logprobs)


@contextmanager
def _trunk(
    cache: Context, asking: Asking, adapter: Any
) -> Iterator[tuple[Slot, int, NDArray[np.float32] | None]]:
    """A sequence of context, answer and preamble; where the answer ends in it; and the answer's
    log-probabilities, where they are wanted."""
    item, preamble = asking.item, _ids(asking.preamble)
    logprobs: NDArray[np.float32] | None = None
    if isinstance(item.context, KV):
        kv = item.context
        context, answer = kv.ids[: kv.answer_start], kv.ids[kv.answer_start :]
    else:
        context, answer = item.context, item.answer
    if not answer or not context:
        raise UsageError("an answer or a context without tokens cannot be scored")
    if isinstance(item.context, KV) and adapter is None:
        cache.check(item.context.handle)
        slot = cache.fork(item.context.handle, len(item.context.ids))
        logprobs = item.context.answer_logprobs if asking.logprobs else None
        unread = preamble
    else:
        slot, unread = cache.new(), np.concatenate([_ids(context), _ids(answer), preamble])
    try:
        if len(unread):
            predicted = asking.logprobs and logprobs is None
            at = np.arange(len(context) - 1, len(context) + len(answer) - 1 if predicted else 0)
            row = Row(slot, unread, at, _ids(answer)) if predicted else Row(slot, unread)
            (reading,) = cache.read([row], adapter)
            logprobs = reading.logprobs if predicted else logprobs
        yield slot, len(context) + len(answer), logprobs
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
    start = 0
    while start < len(branches):
        most = max(1, min(len(branches) - start, cache.free_sequences))
        part = branches[start : start + most]
        slots: list[Slot] = []
        try:
            for _, _, length in part:
                slots.append(cache.fork(trunk, length))
            rows = [
                Row(slot, _ids(query.ids), pick=_ids(query.label_ids))
                for slot, (_, query, _) in zip(slots, part, strict=True)
            ]
            readings = cache.read(rows, adapter)
        finally:
            for slot in slots:
                cache.free(slot)
        for (number, _, _), reading in zip(part, readings, strict=True):
            logits[number] = reading.logits
        start += most


def _ids(ids: Sequence[int]) -> NDArray[np.int64]:
    return np.array(ids, np.int64)
