"""The start-up check: a backend with wrong arithmetic is refused before it scores a row."""

import numpy as np

from ct_guard.errors import SelfTestError
from ct_guard.query import Query

from .base import Adapter, Backend, Item

__all__ = ["self_test"]

_CONTEXT = "Question: What is 2 plus 2?\nAnswer:"
_ANSWERS = (" 4", " It is 4, of course.")


def self_test(
    backend: Backend, query: Query, adapter: Adapter | None, *, tolerance: float = 0.05
) -> None:
    """Raise SelfTestError unless: plain text round-trips through the tokenizer, an adapter changes
    the logits, and answers that share a cached context score as they do alone and cold.

    `tolerance` in logits covers 16-bit arithmetic; float32 agrees to 1e-4.
    """
    context = tuple(backend.encode(_CONTEXT))
    if backend.decode(context).strip() != _CONTEXT:
        raise SelfTestError("token ids of a plain text do not decode to that text")
    items = [Item(context, tuple(backend.encode(answer))) for answer in _ANSWERS]
    together = _margins(backend, items, query, adapter)
    alone = np.concatenate([_margins(backend, [item], query, adapter) for item in items])
    worst = float(np.abs(together - alone).max())
    if not worst <= tolerance:  # NaN too
        raise SelfTestError(
            f"batched and single scores differ by {worst:.3g} logits (at most {tolerance} allowed)"
        )
    if adapter is not None and np.array_equal(alone, _margins(backend, items, query, None)):
        raise SelfTestError(f"the adapter {adapter.name!r} changes nothing: it is being ignored")


def _margins(
    backend: Backend, items: list[Item], query: Query, adapter: Adapter | None
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    logits = backend.score(items, query, adapter, frozenset({"labels"})).label_logits
    if logits is None:
        raise SelfTestError("the backend returned no label logits")
    return logits[:, 1] - logits[:, 0]
