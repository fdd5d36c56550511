"""The base's pass over context and answer is made once, as far as memory goes."""

import numpy as np
import pytest
import torch

from ct_guard.backends.transformers import TransformersBackend
from ct_guard.query import Query, build_query
from ct_guard.tuning.data import RenderedAnswer, render_graded
from ct_guard.tuning.prefixes import Prefixes
from tests.unit.tuning.rows import graded


@pytest.fixture
def query(backend: TransformersBackend) -> Query:
    return build_query("chat_turn", backend.encoder)


@pytest.fixture
def rows(backend: TransformersBackend, query: Query) -> list[RenderedAnswer]:
    return render_graded(graded(12), style="chat_turn", backend=backend, query=query, budget=512)


def labels(
    backend: TransformersBackend, prefixes: Prefixes, rows: list[RenderedAnswer], query: Query
) -> np.ndarray:
    with torch.no_grad():
        step = backend.decoder.read([query.ids] * len(rows), prefixes.of(rows))
        return backend.decoder.head.logits(step.hidden[:, -1], query.label_ids).numpy()


def count_reads(backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []
    read = backend.decoder.read

    def counted(rows: object, *args: object, **more: object) -> object:
        sizes.append(len(rows))  # type: ignore[arg-type]
        return read(rows, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(backend.decoder, "read", counted)
    return sizes


def test_kept_rows_read_as_those_that_are_read_anew_in_any_company(
    backend: TransformersBackend, rows: list[RenderedAnswer], query: Query
) -> None:
    kept, anew = Prefixes(backend), Prefixes(backend)
    kept.room = 1 << 30
    heard: list[tuple[int, int]] = []
    kept.keep(rows, lambda done, total: heard.append((done, total)))
    assert heard[-1] == (12, 12)
    for part in (rows[:5], rows[3:9], rows[11:], rows):
        expected = labels(backend, anew, part, query)
        np.testing.assert_allclose(labels(backend, kept, part, query), expected, atol=1e-4)


def test_kept_rows_are_not_read_again(
    backend: TransformersBackend,
    rows: list[RenderedAnswer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prefixes = Prefixes(backend)
    prefixes.room = 1 << 30
    prefixes.keep(rows, lambda done, total: None)
    sizes = count_reads(backend, monkeypatch)
    prefixes.of(rows[2:7])
    assert sizes == []


def test_rows_beyond_the_room_are_read_each_time(
    backend: TransformersBackend,
    rows: list[RenderedAnswer],
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prefixes = Prefixes(backend)
    prefixes.room = 20_000
    prefixes.keep(rows, lambda done, total: None)
    assert prefixes.room == 0
    expected = labels(backend, Prefixes(backend), rows, query)
    sizes = count_reads(backend, monkeypatch)
    np.testing.assert_allclose(labels(backend, prefixes, rows, query), expected, atol=1e-4)
    assert sizes == [12, 12]  # the rows, and the query behind them


def test_what_several_queries_stand_behind_is_read_once(
    backend: TransformersBackend,
    rows: list[RenderedAnswer],
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = [rows[at] for at in (0, 1, 0, 2, 1, 0)]
    expected = labels(backend, Prefixes(backend), rows[:3], query)[[0, 1, 0, 2, 1, 0]]
    sizes = count_reads(backend, monkeypatch)
    found = labels(backend, Prefixes(backend), shared, query)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert sizes == [3, 6]  # the answers, and a query behind each row
