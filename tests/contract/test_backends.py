"""What every backend promises, whatever computes its logits."""

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ct_guard.backends import (
    KV,
    Activation,
    Adapter,
    Backend,
    GenerationSettings,
    Item,
    ScoreBatch,
    Want,
    self_test,
)
from ct_guard.errors import BackendError, UsageError
from ct_guard.query import QUERY_TEXT, Query, build_query
from tests.present import present

LABELS: frozenset[Want] = frozenset({"labels"})
LIKELIHOOD: frozenset[Want] = frozenset({"labels", "answer_logprobs"})
EVERYTHING: frozenset[Want] = frozenset({"labels", "answer_logprobs", "hidden", "query_hidden"})
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Case:
    backend: Backend
    adapter: Adapter | None
    query: Query

    def score(self, items: list[Item], want: frozenset[Want] = EVERYTHING) -> ScoreBatch:
        return self.backend.score(items, self.query, self.adapter, want)

    def item(self, context: str, answer: str) -> Item:
        return Item(
            tuple(
                self.backend.encoder.encode("<|begin|>", special=True)
                + self.backend.encoder.encode(context)
            ),
            tuple(self.backend.encoder.encode(answer)),
        )


@pytest.fixture(scope="module", params=["no adapter", "query", "all"])
def case(request: pytest.FixtureRequest, backend: Backend, tiny_adapter: Path) -> Case:
    query = build_query("raw", backend.encoder)
    if request.param == "no adapter":
        return Case(backend, None, query)
    adapter = Adapter(f"acts-on-{request.param}", tiny_adapter, request.param)
    return Case(backend, adapter, query)


def varied(case: Case) -> list[Item]:
    """Contexts and answers of many lengths, some contexts shared."""
    return [
        case.item("Question: What is 2 plus 2?\nAnswer:", " 4"),
        case.item("Q", " a much longer answer, with a reason: because, because."),
        case.item("Question: What is 2 plus 2?\nAnswer:", " It is 4, of course."),
        case.item("A passage. " * 12 + "\n\nQuestion: Who?\nAnswer:", " x"),
        case.item("Question: Where?\nAnswer:", " Here."),
    ]


def one_context(case: Case, context: str = "Question: " + "why " * 15) -> list[Item]:
    """Answers to one question: their context is read once."""
    return [case.item(context, " " + "because " * size) for size in (3, 1, 6, 2)]


def several_contexts(case: Case) -> list[Item]:
    """Groups of answers that share contexts of unlike lengths, mixed."""
    groups = [one_context(case, "Q: " + "why " * size) for size in (12, 3, 7)]
    return [group[at] for at in range(4) for group in groups]


def two_texts(case: Case) -> list[Item]:
    """Several questions about each of two texts, some with several answers: a text is read once."""
    text = "A passage that all are about. " * 4
    asked = {"Who?": (" x", " somebody else"), "Where was it?": (" Here.",), "Why": (" a", " b c")}
    about = [case.item(f"{text}{one}", answer) for one, said in asked.items() for answer in said]
    other = [case.item(f"Another text, longer than that. {text}{one}", " 5") for one in asked]
    return [about[0], case.item("Something else, apart.", " 4"), *about[1:], *other]


def pairs(batch: ScoreBatch) -> np.ndarray[Any, np.dtype[np.float32]]:
    assert batch.label_logits is not None
    return batch.label_logits


def assert_same(batch: ScoreBatch, singles: list[ScoreBatch]) -> None:
    np.testing.assert_allclose(
        pairs(batch), np.concatenate([pairs(single) for single in singles]), atol=TOLERANCE
    )
    assert batch.answer_logprobs is not None
    for row, single in zip(batch.answer_logprobs, singles, strict=True):
        assert single.answer_logprobs is not None
        np.testing.assert_allclose(row, single.answer_logprobs[0], atol=TOLERANCE)
    assert batch.hidden is not None
    hidden = [single.hidden for single in singles if single.hidden is not None]
    np.testing.assert_allclose(batch.hidden, np.concatenate(hidden), atol=TOLERANCE)
    assert batch.query_hidden is not None
    behind = [single.query_hidden for single in singles if single.query_hidden is not None]
    np.testing.assert_allclose(batch.query_hidden, np.concatenate(behind), atol=TOLERANCE)


# --- batches -------------------------------------------------------------------------------------


def test_shapes_and_types(case: Case) -> None:
    items = varied(case)
    batch = case.score(items)
    assert pairs(batch).shape == (len(items), 2)
    assert pairs(batch).dtype == np.float32
    assert batch.answer_logprobs is not None
    assert [row.shape for row in batch.answer_logprobs] == [(len(i.answer),) for i in items]
    assert all(row.dtype == np.float32 for row in batch.answer_logprobs)
    assert all((row <= 0).all() for row in batch.answer_logprobs)
    assert batch.hidden is not None
    assert batch.hidden.shape[0] == len(items)
    assert batch.hidden.dtype == np.float32
    assert batch.query_hidden is not None
    assert batch.query_hidden.shape == batch.hidden.shape
    assert batch.query_hidden.dtype == np.float32
    assert batch.cached_tokens.dtype == batch.prefilled_tokens.dtype == np.int32


@pytest.mark.parametrize("make", [varied, one_context, several_contexts, two_texts])
def test_a_batch_scores_as_its_rows_alone_and_in_their_order(case: Case, make: Any) -> None:
    items = make(case)
    assert_same(case.score(items), [case.score([item]) for item in items])


def test_order_of_the_items_is_the_order_of_the_results(case: Case) -> None:
    items = varied(case)
    assert_same(case.score(items[::-1]), [case.score([item]) for item in items[::-1]])


def test_different_rows_score_differently(case: Case) -> None:
    margins = np.diff(pairs(case.score(varied(case)))).ravel()
    assert len(set(margins.round(5).tolist())) == len(margins)


def test_only_what_is_wanted_comes_back_and_is_the_same(case: Case) -> None:
    items = several_contexts(case)
    whole = case.score(items)
    labels = case.score(items, LABELS)
    assert labels.answer_logprobs is None
    assert labels.hidden is None
    assert labels.query_hidden is None
    np.testing.assert_allclose(pairs(labels), pairs(whole), atol=TOLERANCE)
    rest = case.score(items, frozenset({"answer_logprobs"}))
    assert rest.label_logits is None
    assert rest.answer_logprobs is not None
    assert whole.answer_logprobs is not None
    for row, other in zip(rest.answer_logprobs, whole.answer_logprobs, strict=True):
        np.testing.assert_allclose(row, other, atol=TOLERANCE)


def test_nothing_to_score_is_an_empty_batch(case: Case) -> None:
    batch = case.score([], LIKELIHOOD)
    assert pairs(batch).shape == (0, 2)
    assert batch.answer_logprobs == []
    assert batch.cached_tokens.shape == batch.prefilled_tokens.shape == (0,)


def test_an_answer_without_tokens_is_refused(case: Case) -> None:
    with pytest.raises(UsageError, match="without tokens"):
        case.score([Item(tuple(case.backend.encoder.encode("context")), ())])


def test_every_token_is_counted_as_read_or_as_cached(case: Case) -> None:
    for items in (varied(case), one_context(case), several_contexts(case), two_texts(case)):
        for want in (LABELS, LIKELIHOOD):
            batch = case.score(items, want)
            whole = [
                len(item.context) + len(item.answer) + len(case.query.ids)
                for item in items
                if not isinstance(item.context, KV)
            ]
            assert (batch.cached_tokens + batch.prefilled_tokens).tolist() == whole


# --- whole texts ---------------------------------------------------------------------------------


def test_a_whole_text_begins_as_every_sequence_and_no_special_is_parsed_in_it(
    backend: Backend,
) -> None:
    text = "Question: <|end|> Who?\n\nAnswer:"
    ids = backend.encoder.encode_whole(text)
    start = list(backend.encoder.start_ids)
    assert ids[: len(start)] == start
    assert backend.encoder.decode(ids[len(start) :]) == text


# --- adapters ------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["query", "all"])
def test_an_adapter_changes_the_labels_and_nothing_that_is_read_with_it_off(
    backend: Backend, tiny_adapter: Path, activation: Activation
) -> None:
    query = build_query("raw", backend.encoder)
    items = varied(Case(backend, None, query))
    adapter = Adapter(f"acts-on-{activation}", tiny_adapter, activation)
    adapted = backend.score(items, query, adapter, EVERYTHING)
    plain = backend.score(items, query, None, EVERYTHING)
    assert np.abs(np.diff(pairs(adapted)) - np.diff(pairs(plain))).min() > 1e-3
    assert adapted.query_hidden is not None
    assert plain.query_hidden is not None
    assert np.abs(adapted.query_hidden - plain.query_hidden).max(axis=1).min() > 1e-3
    assert adapted.answer_logprobs is not None
    assert plain.answer_logprobs is not None
    for row, other in zip(adapted.answer_logprobs, plain.answer_logprobs, strict=True):
        np.testing.assert_allclose(row, other, atol=TOLERANCE)
    if activation == "query":
        np.testing.assert_allclose(present(adapted.hidden), present(plain.hidden), atol=TOLERANCE)


def test_hidden_states_come_through_an_adapter_that_acts_on_all_tokens(
    backend: Backend, tiny_adapter: Path
) -> None:
    query = build_query("raw", backend.encoder)
    items = varied(Case(backend, None, query))
    adapter = Adapter("acts-on-all", tiny_adapter, "all")
    only = backend.score(items, query, adapter, frozenset({"hidden"})).hidden
    beside = backend.score(items, query, adapter, EVERYTHING).hidden
    plain = backend.score(items, query, None, EVERYTHING).hidden
    assert only is not None
    assert beside is not None
    assert plain is not None
    np.testing.assert_allclose(only, beside, atol=TOLERANCE)
    assert np.abs(only - plain).max(axis=1).min() > 1e-3


def test_query_and_all_are_different_functions(backend: Backend, tiny_adapter: Path) -> None:
    query = build_query("raw", backend.encoder)
    items = varied(Case(backend, None, query))
    one, other = (
        pairs(backend.score(items, query, Adapter(f"acts-on-{where}", tiny_adapter, where), LABELS))
        for where in ("query", "all")
    )
    assert np.abs(one - other).max() > 1e-3


def test_the_start_up_check_passes(case: Case) -> None:
    noise = self_test(case.backend, case.query, case.adapter)
    assert case.backend.noise == noise
    assert noise < 1e-3


# --- generation and live caches ------------------------------------------------------------------


def prompt(backend: Backend, text: str = "Question: What is 2 plus 2?\nAnswer:") -> tuple[int, ...]:
    return tuple(backend.encoder.encode("<|begin|>", special=True) + backend.encoder.encode(text))


def live(backend: Backend) -> KV:
    kv = backend.generate([prompt(backend)], GenerationSettings(max_tokens=8))[0].kv
    assert kv is not None
    return kv


def test_a_live_cache_scores_as_the_same_ids_cold(case: Case) -> None:
    kv = live(case.backend)
    cold = Item(kv.ids[: kv.answer_start], kv.ids[kv.answer_start :])
    warm, again, fresh = (
        case.score([item], LIKELIHOOD) for item in (Item(kv, ()), Item(kv, ()), cold)
    )
    for batch in (warm, again):  # scoring leaves the cache as it was
        np.testing.assert_allclose(pairs(batch), pairs(fresh), atol=TOLERANCE)
        assert batch.answer_logprobs is not None
        assert fresh.answer_logprobs is not None
        np.testing.assert_allclose(
            batch.answer_logprobs[0], fresh.answer_logprobs[0], atol=TOLERANCE
        )


def test_a_live_cache_may_stand_among_other_items(case: Case) -> None:
    kv = live(case.backend)
    items = [*varied(case)[:2], Item(kv, ()), *varied(case)[2:]]
    batch = case.score(items, LIKELIHOOD)
    singles = [case.score([item], LIKELIHOOD) for item in items]
    np.testing.assert_allclose(
        pairs(batch), np.concatenate([pairs(single) for single in singles]), atol=TOLERANCE
    )


def test_only_the_query_is_read_behind_a_live_cache(backend: Backend, tiny_adapter: Path) -> None:
    query = build_query("raw", backend.encoder)
    kv = live(backend)
    for adapter in (None, Adapter("acts-on-query", tiny_adapter, "query")):
        batch = backend.score([Item(kv, ())], query, adapter, LABELS)
        assert batch.cached_tokens.tolist() == [len(kv.ids)]
        assert batch.prefilled_tokens.tolist() == [len(query.ids)]


def test_a_cache_tells_where_its_answer_begins(backend: Backend) -> None:
    asked = prompt(backend)
    made = backend.generate([asked], GenerationSettings(max_tokens=8))[0]
    assert made.kv is not None
    assert made.kv.ids == (*asked, *made.ids)
    assert made.kv.answer_start == len(asked)
    assert made.logprobs.shape == (len(made.ids),)
    np.testing.assert_array_equal(made.kv.answer_logprobs, made.logprobs)


def test_several_prompts_are_answered_in_order_and_keep_no_cache(backend: Backend) -> None:
    prompts = [prompt(backend, text) for text in ("Q: one?", "A much longer question: two?", "3")]
    together = backend.generate(prompts, GenerationSettings(max_tokens=6))
    alone = [backend.generate([one], GenerationSettings(max_tokens=6))[0] for one in prompts]
    assert [made.ids for made in together] == [made.ids for made in alone]
    assert all(made.kv is None for made in together)
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=TOLERANCE)


def test_no_prompts_no_answers(backend: Backend) -> None:
    assert backend.generate([], GenerationSettings(max_tokens=4)) == []


# --- text ----------------------------------------------------------------------------------------


def test_text_round_trips(backend: Backend) -> None:
    for text in ("Question: What is 2 plus 2?\nAnswer:", " naïve 東京 😀", QUERY_TEXT):
        assert backend.encoder.decode(backend.encoder.encode(text)) == text


# --- threads and the end -------------------------------------------------------------------------


def test_two_threads_get_the_scores_that_one_gets(case: Case) -> None:
    items = varied(case)
    plain = pairs(case.backend.score(items, case.query, None, LABELS))
    adapted = pairs(case.score(items, LABELS))
    wrong: list[float] = []

    def run(adapter: Adapter | None, expected: Any) -> None:
        for _ in range(5):
            found = pairs(case.backend.score(items, case.query, adapter, LABELS))
            wrong.append(float(np.abs(found - expected).max()))

    threads = [
        threading.Thread(target=run, args=(None, plain)),
        threading.Thread(target=run, args=(case.adapter, adapted)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 10
    assert max(wrong) <= TOLERANCE


def test_a_closed_backend_says_so(own_backend: Backend) -> None:
    query = build_query("raw", own_backend.encoder)
    prompt = tuple(own_backend.encoder.encode("context"))
    item = Item(prompt, tuple(own_backend.encoder.encode(" answer")))
    own_backend.close()
    own_backend.close()
    with pytest.raises(BackendError, match="closed"):
        own_backend.score([item], query, None, LABELS)
    with pytest.raises(BackendError, match="closed"):
        own_backend.generate([prompt], GenerationSettings(max_tokens=2))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_scores_as_its_parent_does(case: Case) -> None:
    """Also where another thread is in the middle of a scoring when the process forks."""
    items = varied(case)
    before = case.score(items).label_logits
    assert before is not None
    stop = threading.Event()

    def keep_scoring() -> None:
        while not stop.is_set():
            case.score(items)

    scoring = threading.Thread(target=keep_scoring)
    scoring.start()
    child = os.fork()
    if child == 0:
        status = 2
        signal.alarm(60)
        try:
            logits = case.score(items).label_logits
            status = 0 if logits is not None and np.allclose(logits, before, atol=TOLERANCE) else 1
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    stop.set()
    scoring.join(30)
