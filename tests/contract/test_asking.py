"""Several queries over one reading: what every backend promises of them."""

from pathlib import Path

import numpy as np
import pytest

from ct_guard.backends import Adapter, Asking, Backend, GenerationSettings, Item, Want
from ct_guard.errors import UsageError
from ct_guard.query import Query, build_field_query, build_query

LABELS: frozenset[Want] = frozenset({"labels"})
EVERYTHING: frozenset[Want] = frozenset({"labels", "answer_logprobs"})
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=["no adapter", "query", "all"])
def adapter(request: pytest.FixtureRequest, tiny_adapter: Path) -> Adapter | None:
    if request.param == "no adapter":
        return None
    return Adapter(f"asks-{request.param}", tiny_adapter, request.param)


def item(backend: Backend) -> Item:
    context = backend.encode("<|begin|>", special=True) + backend.encode("Where and what?")
    return Item(tuple(context), tuple(backend.encode(' {"town": "Kelso", "n": 3}')))


def asking(backend: Backend, adapter: Adapter | None, *, first: Query | None = None) -> Asking:
    query = build_query("raw", backend)
    about = build_field_query("raw", backend, query.label_ids)
    queries = tuple(
        about.about(path, value, backend) for path, value in [("town", "Kelso"), ("n", 3)]
    )
    return Asking(
        item(backend), about.preamble, queries, adapter, first, adapter if first else None
    )


def test_each_query_reads_as_it_would_alone(backend: Backend, adapter: Adapter | None) -> None:
    made = asking(backend, adapter)
    found = backend.ask(made)
    one = made.item
    for at, query in enumerate(made.queries):
        alone = Item(one.context, (*one.answer, *made.preamble))
        plain = backend.score([alone], query, adapter, LABELS).label_logits
        assert plain is not None
        if backend.name != "fake" or adapter is None:
            gap = (found.logits[at, 1] - found.logits[at, 0]) - (plain[0, 1] - plain[0, 0])
            assert abs(gap) < TOLERANCE
    assert found.first is None
    assert found.answer_logprobs is None


def test_the_answers_own_query_stands_behind_the_answer(
    backend: Backend, adapter: Adapter | None
) -> None:
    query = build_query("raw", backend)
    made = asking(backend, adapter, first=query)
    found, apart = backend.ask(made), backend.ask(asking(backend, adapter))
    plain = backend.score([made.item], query, adapter, LABELS).label_logits
    assert found.first is not None
    assert plain is not None
    assert np.diff(found.first) == pytest.approx(np.diff(plain[0]), abs=TOLERANCE)
    np.testing.assert_allclose(np.diff(found.logits), np.diff(apart.logits), atol=TOLERANCE, rtol=0)


def test_the_answers_log_probabilities_come_with_it(backend: Backend) -> None:
    query = build_query("raw", backend)
    made = Asking(item(backend), asking(backend, None).preamble, (query,), logprobs=True)
    plain = backend.score([made.item], query, None, EVERYTHING).answer_logprobs
    found = backend.ask(made).answer_logprobs
    assert plain is not None
    assert found is not None
    np.testing.assert_allclose(found, plain[0], atol=TOLERANCE)


def test_a_generated_answer_is_asked_about_over_its_own_cache(backend: Backend) -> None:
    prompt = tuple(backend.encode("Where?"))
    (made,) = backend.generate([prompt], GenerationSettings(max_tokens=4))
    assert made.kv is not None
    like = asking(backend, None)
    ids = made.kv.ids
    start = made.kv.answer_start
    over = backend.ask(Asking(Item(made.kv, ()), like.preamble, like.queries, logprobs=True))
    text = backend.ask(Asking(Item(ids[:start], ids[start:]), like.preamble, like.queries))
    np.testing.assert_allclose(np.diff(over.logits), np.diff(text.logits), atol=TOLERANCE, rtol=0)
    assert over.answer_logprobs is not None
    backend.release(made.kv)


def test_an_answer_without_tokens_is_refused(backend: Backend) -> None:
    with pytest.raises(UsageError, match="without tokens"):
        backend.ask(Asking(Item((1, 2), ()), (), asking(backend, None).queries))


def test_adapters_that_act_everywhere_share_no_reading_with_others(tiny_adapter: Path) -> None:
    everywhere = Adapter("everywhere", tiny_adapter, "all")
    one = Item((1,), (2,))
    query = Query((3,), (4, 5))
    with pytest.raises(UsageError, match="ask apart"):
        Asking(one, (), (query,), everywhere, first=query)
    with pytest.raises(UsageError, match="ask apart"):
        Asking(one, (), (query,), everywhere, logprobs=True)
