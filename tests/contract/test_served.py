"""Every kind of server keeps the contract of a backend, and scores as the model in this process
does: the stand-ins answer from it (see `tests.served` for what that shows, and what not)."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from ct_guard.backends import Adapter, GenerationSettings, Item, ScoreBatch, Want, self_test
from ct_guard.backends.server import Patience, Pool, ServerBackend, open_server
from ct_guard.backends.server.text import LocalText
from ct_guard.errors import BackendError, MismatchError, UsageError
from ct_guard.query import Query, build_query
from ct_guard.testing import FakeBackend
from tests.present import present
from tests.served import KINDS, Kind, ServedModel, serving

LABELS: frozenset[Want] = frozenset({"labels"})
LIKELIHOOD: frozenset[Want] = frozenset({"labels", "answer_logprobs"})
FAKE = FakeBackend()
QUERY = build_query("raw", FAKE.encoder)
TOLERANCE = 1e-5


def connect(server: ServedModel, **options: object) -> ServerBackend:
    pool = Pool(server.url, patience=Patience(first_wait=0.01))
    dialect = open_server(pool, None)
    text = LocalText(FAKE.encoder, FAKE.vocabulary_size, "")
    return ServerBackend(pool, dialect, text, **options)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Case:
    server: ServedModel
    backend: ServerBackend
    adapter: Adapter | None
    query: Query = QUERY

    def score(self, items: list[Item], want: frozenset[Want] = LIKELIHOOD) -> ScoreBatch:
        return self.backend.score(items, self.query, self.adapter, want)


def item(context: str, answer: str) -> Item:
    return Item(
        (*FAKE.encoder.start_ids, *FAKE.encoder.encode(context)), tuple(FAKE.encoder.encode(answer))
    )


ITEMS = [
    item("Question: What is 2 plus 2?\nAnswer:", " 4"),
    item("Q", " a much longer answer, because."),
    item("Question: What is 2 plus 2?\nAnswer:", " It is 4, of course."),
    item("Question: Where?\nAnswer:", " Here."),
]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module", params=["no adapter", "with an adapter"])
def case(request: pytest.FixtureRequest, kind: Kind) -> Iterator[Case]:
    activation: Literal["query", "all"] = "query" if kind == "llama_server" else "all"
    adapter = Adapter("tuned", Path("/estimators/mine/adapter"), activation)
    served = {"another": Adapter("other", Path("/elsewhere"), activation), "mine": adapter}
    with serving(kind, FAKE, adapters=served, query_ids=QUERY.ids) as server:
        backend = connect(server)
        yield Case(server, backend, adapter if request.param == "with an adapter" else None)
        backend.close()


def test_scores_are_those_of_the_model_in_this_process(case: Case) -> None:
    ours, theirs = case.score(ITEMS), FAKE.score(ITEMS, QUERY, case.adapter, LIKELIHOOD)
    np.testing.assert_allclose(
        np.diff(present(ours.label_logits)), np.diff(present(theirs.label_logits)), atol=TOLERANCE
    )
    assert ours.answer_logprobs is not None
    assert theirs.answer_logprobs is not None
    for one, other in zip(ours.answer_logprobs, theirs.answer_logprobs, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=TOLERANCE)


def test_what_is_wanted_comes_back_and_nothing_else(case: Case) -> None:
    labels = case.score(ITEMS, LABELS)
    assert labels.label_logits is not None
    assert labels.label_logits.dtype == np.float32
    assert labels.answer_logprobs is None
    assert labels.hidden is None
    assert labels.query_hidden is None
    rest = case.score(ITEMS, frozenset({"answer_logprobs"}))
    assert rest.label_logits is None
    assert case.score([], LIKELIHOOD).answer_logprobs == []


def test_every_token_is_counted_as_read_or_as_cached(case: Case) -> None:
    batch = case.score(ITEMS)
    whole = [len(one.context) + len(one.answer) + len(QUERY.ids) for one in ITEMS]  # type: ignore[arg-type]
    assert (batch.cached_tokens + batch.prefilled_tokens).tolist() == whole


def test_an_event_loop_gets_the_same_scores_and_goes_on_meanwhile(case: Case) -> None:
    plain = case.score(ITEMS)

    async def several() -> list[ScoreBatch]:
        call = case.backend.score_async
        return await asyncio.gather(*(call(ITEMS, QUERY, case.adapter, LABELS) for _ in range(3)))

    for one in asyncio.run(several()):
        np.testing.assert_array_equal(one.label_logits, plain.label_logits)


def test_the_start_up_check_passes(case: Case) -> None:
    noise = self_test(case.backend, QUERY, case.adapter)
    assert case.backend.noise == noise
    assert noise < 1e-3


def test_threads_get_the_scores_that_one_gets(case: Case) -> None:
    expected = present(case.score(ITEMS, LABELS).label_logits)
    wrong: list[float] = []

    def run() -> None:
        found = present(case.score(ITEMS, LABELS).label_logits)
        wrong.append(float(np.abs(found - expected).max()))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [0.0] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_scores_as_its_parent_does(case: Case) -> None:
    before = present(case.score(ITEMS, LABELS).label_logits)
    child = os.fork()
    if child == 0:
        status = 2
        signal.alarm(30)
        try:
            logits = present(case.score(ITEMS, LABELS).label_logits)
            status = 0 if np.array_equal(logits, before) else 1
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(case.score(ITEMS, LABELS).label_logits, before)


def test_what_a_server_does_not_do_is_refused(case: Case) -> None:
    with pytest.raises(MismatchError, match="hidden states"):
        case.score(ITEMS, frozenset({"hidden"}))
    with pytest.raises(BackendError, match="does not generate"):
        case.backend.generate([(1, 2)], GenerationSettings(max_tokens=2))
    with pytest.raises(UsageError, match="without tokens"):
        case.score([Item((1, 2), ())])


def test_only_ids_are_sent_and_nothing_is_added_to_them(case: Case) -> None:
    case.server.asked.clear()
    case.score(ITEMS[:1])
    whole = [*ITEMS[0].context, *ITEMS[0].answer, *QUERY.ids]  # type: ignore[misc]
    for _, asked in case.server.asked:
        sent = asked.get("prompt") or asked.get("input_ids")
        sent = sent or asked["query"] + asked["items"][0]
        assert sent == whole[: len(sent)]
        assert asked.get("add_special_tokens", False) is False


def test_answers_to_one_question_share_a_request_of_generative_scoring() -> None:
    with serving("vllm", FAKE) as server:
        backend = connect(server)
        server.asked.clear()
        backend.score(ITEMS, QUERY, None, LABELS)
        routes = [path for path, _ in server.asked]
        assert routes == ["/generative_scoring"] * 3
        assert sorted(len(asked["items"]) for _, asked in server.asked) == [1, 1, 2]
        backend.close()


def test_a_closed_backend_says_so(kind: Kind) -> None:
    with serving(kind, FAKE) as server:
        backend = connect(server)
        backend.close()
        backend.close()
        with pytest.raises(BackendError, match="closed"):
            backend.score(ITEMS, QUERY, None, LABELS)
