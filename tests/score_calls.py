"""What a backend's `score` gave, call by call."""

from collections.abc import Sequence

import pytest

from ct_guard.backends import Adapter, Backend, Item, ScoreBatch, Want
from ct_guard.query import Query

__all__ = ["watched"]


def watched(monkeypatch: pytest.MonkeyPatch, backend: Backend) -> list[ScoreBatch]:
    """A list to which every further call of `backend.score` adds its results."""
    batches: list[ScoreBatch] = []
    score = backend.score

    def counting(
        items: Sequence[Item], query: Query, adapter: Adapter | None, want: frozenset[Want]
    ) -> ScoreBatch:
        batches.append(score(items, query, adapter, want))
        return batches[-1]

    monkeypatch.setattr(backend, "score", counting)
    return batches
