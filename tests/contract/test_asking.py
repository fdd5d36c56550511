"""Several queries over one reading: what every backend promises of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ct_guard.backends import Adapter, Asking, Backend, GenerationSettings, Item, Want
from ct_guard.backends.base import Manner
from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.backends.tree import Tree
from ct_guard.errors import UsageError
from ct_guard.query import Query, build_field_query, build_query
from tests.present import present

LABELS: frozenset[Want] = frozenset({"labels"})
EVERYTHING: frozenset[Want] = frozenset({"labels", "answer_logprobs"})
TOLERANCE = 1e-4
FIELDS = [("a.town", "Kelso"), ("a.to", "Kelso"), ("n", 3), ("a.town", "Yarm")]
"""They begin alike, differ in length, and one is the beginning of another up to its value."""


@pytest.fixture(scope="module", params=["no adapter", "query", "all"])
def adapter(request: pytest.FixtureRequest, tiny_adapter: Path) -> Adapter | None:
    if request.param == "no adapter":
        return None
    return Adapter(f"asks-{request.param}", tiny_adapter, request.param)


def item(backend: Backend) -> Item:
    context = backend.encoder.encode("<|begin|>", special=True) + backend.encoder.encode(
        "Where and what?"
    )
    return Item(tuple(context), tuple(backend.encoder.encode(' {"town": "Kelso", "n": 3}')))


def asking(backend: Backend, adapter: Adapter | None, *, first: Query | None = None) -> Asking:
    query = build_query("raw", backend.encoder)
    about = build_field_query("raw", backend.encoder, query.label_ids)
    queries = tuple(about.about(path, value, backend.encoder) for path, value in FIELDS)
    return Asking(item(backend), queries, adapter, first, adapter if first else None)


def test_each_query_reads_as_it_would_alone(backend: Backend, adapter: Adapter | None) -> None:
    made = asking(backend, adapter)
    found = backend.ask(made)
    for at, query in enumerate(made.queries):
        plain = backend.score([made.item], query, adapter, LABELS).label_logits
        assert plain is not None
        gap = (found.logits[at, 1] - found.logits[at, 0]) - (plain[0, 1] - plain[0, 0])
        assert abs(gap) < TOLERANCE
    assert found.first is None
    assert found.answer_logprobs is None


def test_the_answers_own_query_stands_behind_the_answer(
    backend: Backend, adapter: Adapter | None
) -> None:
    query = build_query("raw", backend.encoder)
    made = asking(backend, adapter, first=query)
    found, apart = backend.ask(made), backend.ask(asking(backend, adapter))
    plain = backend.score([made.item], query, adapter, LABELS).label_logits
    assert found.first is not None
    assert plain is not None
    assert np.diff(found.first) == pytest.approx(np.diff(plain[0]), abs=TOLERANCE)
    np.testing.assert_allclose(np.diff(found.logits), np.diff(apart.logits), atol=TOLERANCE, rtol=0)


def test_its_last_hidden_state_comes_with_it(backend: Backend, adapter: Adapter | None) -> None:
    query = build_query("raw", backend.encoder)
    plain = asking(backend, adapter, first=query)
    found = backend.ask(replace(plain, state=True))
    scored = backend.score([plain.item], query, adapter, frozenset({"labels", "query_hidden"}))
    assert found.state is not None
    assert scored.query_hidden is not None
    np.testing.assert_allclose(found.state, scored.query_hidden[0], atol=TOLERANCE)
    assert found.first is not None
    without = backend.ask(plain)
    np.testing.assert_allclose(
        np.diff(found.logits), np.diff(without.logits), atol=TOLERANCE, rtol=0
    )
    assert np.diff(found.first) == pytest.approx(np.diff(present(without.first)), abs=TOLERANCE)
    assert without.state is None


def test_the_answers_log_probabilities_come_with_it(backend: Backend) -> None:
    query = build_query("raw", backend.encoder)
    made = Asking(item(backend), (query,), logprobs=True)
    plain = backend.score([made.item], query, None, EVERYTHING).answer_logprobs
    found = backend.ask(made).answer_logprobs
    assert plain is not None
    assert found is not None
    np.testing.assert_allclose(found, plain[0], atol=TOLERANCE)


def test_a_generated_answer_is_asked_about_over_its_own_cache(backend: Backend) -> None:
    prompt = tuple(backend.encoder.encode("Where?"))
    (made,) = backend.generate([prompt], GenerationSettings(max_tokens=4))
    assert made.kv is not None
    like = asking(backend, None)
    ids = made.kv.ids
    start = made.kv.answer_start
    over = backend.ask(Asking(Item(made.kv, ()), like.queries, logprobs=True))
    text = backend.ask(Asking(Item(ids[:start], ids[start:]), like.queries))
    np.testing.assert_allclose(np.diff(over.logits), np.diff(text.logits), atol=TOLERANCE, rtol=0)
    assert over.answer_logprobs is not None
    backend.release(made.kv)


def test_an_answer_without_tokens_is_refused(backend: Backend) -> None:
    with pytest.raises(UsageError, match="without tokens"):
        backend.ask(Asking(Item((1, 2), ()), asking(backend, None).queries))


def test_adapters_that_act_everywhere_share_no_reading_with_others(tiny_adapter: Path) -> None:
    everywhere = Adapter("everywhere", tiny_adapter, "all")
    one = Item((1,), (2,))
    query = Query((3,), (4, 5))
    with pytest.raises(UsageError, match="ask apart"):
        Asking(one, (query,), everywhere, first=query)
    with pytest.raises(UsageError, match="ask apart"):
        Asking(one, (query,), everywhere, logprobs=True)


@pytest.mark.parametrize("manner", ["together", "alone"])
def test_a_base_that_reads_no_trees_gives_the_same_logits(
    manner: Manner, tiny_base: Path, tiny_adapter: Path
) -> None:
    backend = TransformersBackend.load(tiny_base, device="cpu")
    adapter = Adapter("apart", tiny_adapter, "query")
    made = asking(backend, adapter, first=build_query("raw", backend.encoder))
    assert backend.decoder.reads_trees
    in_a_tree = backend.ask(made)
    backend.decoder.reads_trees = False
    backend.manner = manner
    row_by_row = backend.ask(made)
    np.testing.assert_allclose(
        np.diff(row_by_row.logits), np.diff(in_a_tree.logits), atol=TOLERANCE, rtol=0
    )
    assert row_by_row.first is not None
    expected = np.diff(present(in_a_tree.first))
    assert np.diff(row_by_row.first) == pytest.approx(expected, abs=TOLERANCE)


def test_a_base_that_passes_over_the_mask_reads_no_trees(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then every token would see those of other queries."""
    decoder = TransformersBackend.load(tiny_base, device="cpu").decoder
    forward = decoder.layers.forward

    def blind(*, attention_mask: torch.Tensor, **more: object) -> object:
        width = attention_mask.shape[-1]
        return forward(attention_mask=torch.ones((1, width), dtype=torch.long), **more)

    monkeypatch.setattr(decoder.layers, "forward", blind)
    assert not decoder.reads_trees


def test_a_tree_leaves_the_cache_as_it_was(tiny_base: Path) -> None:
    """All queries read the one cache: no copy of it is made for each."""
    backend = TransformersBackend.load(tiny_base, device="cpu")
    (made,) = backend.generate(
        [tuple(backend.encoder.encode("Where?"))], GenerationSettings(max_tokens=4)
    )
    assert made.kv is not None
    layers = made.kv.handle.cache.layers
    before = [(layer.keys, layer.keys.clone()) for layer in layers]
    backend.ask(Asking(Item(made.kv, ()), asking(backend, None).queries))
    for layer, (keys, values) in zip(layers, before, strict=True):
        assert layer.keys is keys
        assert torch.equal(keys, values)


def test_queries_share_the_cells_of_an_answer(tiny_gguf: Path) -> None:
    """In a cache that could not hold the answer twice, nor the queries without their common
    beginning."""
    with_room = LlamaCppBackend.load(tiny_gguf, kv_type="f32", threads=1)
    made = asking(with_room, None)
    assert isinstance(made.item.context, tuple)
    held = len(made.item.context) + len(made.item.answer)
    tree = len(Tree.of([query.ids for query in made.queries]).ids)
    apart = sum(len(query.ids) for query in made.queries)
    size = -(-(held + tree) // 32) * 32
    assert size < held + apart
    tight = LlamaCppBackend.load(tiny_gguf, kv_type="f32", threads=1, n_ctx=size)
    np.testing.assert_allclose(
        np.diff(tight.ask(made).logits), np.diff(with_room.ask(made).logits), atol=TOLERANCE, rtol=0
    )
    tight.close()
    with_room.close()


def test_one_forward_reads_what_nothing_else_acts_on(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answer and queries together, as over a cache of the answer."""
    backend = TransformersBackend.load(tiny_base, device="cpu")
    made = replace(asking(backend, None, first=build_query("raw", backend.encoder)), logprobs=True)
    assert backend.decoder.reads_trees
    read = backend.decoder.read
    monkeypatch.delattr(type(backend.decoder), "read")
    at_once = backend.ask(made)
    monkeypatch.undo()
    assert backend.decoder.read == read
    monkeypatch.setattr("ct_guard.backends.asking._AT_ONCE", 0)
    over_a_cache = backend.ask(made)
    for one, other in (
        (np.diff(at_once.logits), np.diff(over_a_cache.logits)),
        (np.diff(present(at_once.first)), np.diff(present(over_a_cache.first))),
        (present(at_once.answer_logprobs), present(over_a_cache.answer_logprobs)),
    ):
        np.testing.assert_allclose(one, other, atol=TOLERANCE, rtol=0)
