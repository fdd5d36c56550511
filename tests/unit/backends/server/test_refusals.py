"""Which estimator works on which server is decided before a row is scored, and a refusal says what
to do instead."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ct_guard.backends import Adapter
from ct_guard.backends.server import Pool, ServerBackend, open_server
from ct_guard.backends.server.text import LocalText
from ct_guard.errors import MismatchError, SelfTestError, ServerError, UsageError
from ct_guard.estimators import Estimator, load_estimator
from ct_guard.query import build_query
from ct_guard.records import CalibratorState, QuestionAnswer
from ct_guard.store import BaseModelRef, Manifest, save_estimator
from ct_guard.testing import FakeBackend, FakeEncoder
from tests.served import KINDS, Kind, ServedModel, serving

FAKE = FakeBackend()
ROW = QuestionAnswer(question="What is 2 plus 2?", answer="4")
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """An estimator's directory over the fake base."""

    def made(method: str = "query", activation: str | None = "query", name: str = "mine") -> Path:
        adapter = tmp_path / "lora"
        adapter.mkdir(exist_ok=True)
        (adapter / "adapter_config.json").write_text('{"peft_type": "LORA"}')
        (adapter / "adapter_model.safetensors").write_bytes(b"weights")
        manifest = Manifest(
            name=name,
            method=method,
            base=BaseModelRef(id="base", fingerprint="fake", digests=("0" * 64,)),
            activation=activation,
            calibrators={"*": CalibratorState(kind="platt", params={"a": 1.0, "b": 0.0}, n=50)},
        )
        save_estimator(tmp_path / name, manifest, adapter=adapter if activation else None)
        return tmp_path / name

    return made


@contextmanager
def served(
    kind: Kind,
    estimator: Path | None = None,
    activation: str | None = None,
    slots: int = 1,
    **options: Any,
) -> Iterator[tuple[ServedModel, ServerBackend]]:
    """The server that has the estimator's adapter under the name of its directory."""
    query, adapters = build_query("raw", FAKE.encoder), {}
    if estimator is not None and activation is not None:
        # named as `load_estimator` does it, so that the scores in this process are the same
        known = load_estimator(estimator, backend=_whole()).adapter
        assert known is not None
        adapters = {estimator.name: Adapter(known.name, known.path, activation)}  # type: ignore[arg-type]
    with serving(kind, FAKE, adapters=adapters, query_ids=query.ids) as server:
        server.slots = slots
        pool = Pool(server.url)
        backend = ServerBackend(
            pool, open_server(pool, None), LocalText(FAKE.encoder, 512, ""), **options
        )
        yield server, backend
        backend.close()


def _whole() -> FakeBackend:
    """A base in this process, whose bytes are those that the manifest names."""
    backend = FakeBackend()
    backend.digest = "0" * 64
    return backend


def on(backend: ServerBackend, source: Path | str, **options: Any) -> Estimator:
    return load_estimator(source, backend=backend, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_methods_over_the_base_alone_score_everywhere(kind: Kind, make: Make) -> None:
    for method in ("zero-shot", "likelihood"):
        source = make(method, None, name=method)
        with served(kind) as (_, backend):
            (ours,) = on(backend, source).score([ROW])
        (theirs,) = load_estimator(source, backend=_whole()).score([ROW])
        assert ours.p == pytest.approx(theirs.p, abs=1e-5)
        assert ours.calibrated


@pytest.mark.parametrize(
    ("kind", "activation"),
    [("vllm", "all"), ("sglang", "all"), ("llama_server", "all"), ("llama_server", "query")],
)
def test_an_adapter_scores_where_it_acts_as_it_was_tuned(
    kind: Kind, activation: str, make: Make
) -> None:
    source = make("query", activation)
    with served(kind, source, activation) as (_, backend):
        (ours,) = on(backend, source).score([ROW])
    (theirs,) = load_estimator(source, backend=_whole()).score([ROW])
    assert ours.p == pytest.approx(theirs.p, abs=1e-5)
    assert ours.backend == kind


@pytest.mark.parametrize("kind", ["vllm", "old vllm", "sglang"])
def test_an_adapter_of_the_query_alone_is_refused_where_it_would_act_on_all(
    kind: Kind, make: Make
) -> None:
    source = make("query", "query")
    with (
        served(kind, source, "query") as (_, backend),
        pytest.raises(MismatchError, match=r"llama-server.*--activation all"),
    ):
        on(backend, source)


@pytest.mark.parametrize(
    ("said", "acts"), [("query", "all"), ("all", "query")], ids=["tuned for query", "tuned for all"]
)
def test_a_file_that_acts_elsewhere_is_refused_by_what_the_server_says(
    said: str, acts: str, make: Make
) -> None:
    source = make("query", said)
    with (
        served("llama_server", source, acts) as (_, backend),
        pytest.raises(MismatchError, match="export gguf"),
    ):
        on(backend, source)


def test_an_adapter_that_acts_elsewhere_is_refused_by_what_it_does(make: Make) -> None:
    source = make("query", "query")
    with served("llama_server", source, "query") as (server, backend):
        server.acts_everywhere = True
        with pytest.raises(MismatchError, match="acts on all tokens"):
            on(backend, source)


def test_a_server_that_would_have_an_adapter_act_on_other_requests_tokens(make: Make) -> None:
    source = make("query", "query")
    with (
        served("llama_server", source, "query", slots=4) as (_, backend),
        pytest.raises(MismatchError, match="--parallel 1"),
    ):
        on(backend, source)


def test_an_adapter_that_is_ignored(make: Make) -> None:
    source = make("query", "all")
    with served("vllm", source, "all") as (server, backend):
        server.ignores_adapters = True
        with pytest.raises(SelfTestError, match="changes nothing"):
            on(backend, source)


def test_a_cache_that_leaks_between_adapters(make: Make) -> None:
    source = make("query", "all")
    with served("llama_server", source, "all") as (server, backend):
        server.leaks = True
        with pytest.raises(SelfTestError, match="--cache-ram 0"):
            on(backend, source)


def test_an_adapter_that_is_not_there_or_has_another_name(make: Make) -> None:
    source, other = make("query", "all"), make("query", "all", name="other")
    with (
        served("vllm") as (_, backend),
        pytest.raises(MismatchError, match=r"--lora-modules mine=.*/mine/adapter"),
    ):
        on(backend, source)
    with (
        served("vllm", other, "all") as (_, backend),
        pytest.raises(MismatchError, match="has other: name it with --server-adapter"),
    ):
        on(backend, source)
    with served("vllm", source, "all", adapter="mine") as (_, backend):
        assert on(backend, source).score([ROW])[0].status == "ok"


@pytest.mark.parametrize("method", ["verbalized", "sampling"])
def test_methods_that_have_the_base_answer_name_the_way_out(method: str) -> None:
    with (
        served("vllm") as (_, backend),
        pytest.raises(MismatchError, match="cannot generate: use `backend` transformers"),
    ):
        on(backend, method, base="any")


def test_another_model_is_known_by_its_tokenizer() -> None:
    class Shouting(FakeEncoder):
        def encode(self, text: str, *, special: bool = False) -> list[int]:
            return super().encode(text.upper(), special=special)

    with serving("vllm", FakeBackend(encoder=Shouting())) as server:
        pool = Pool(server.url)
        with pytest.raises(MismatchError, match="encodes a text otherwise"):
            ServerBackend(pool, open_server(pool, None), LocalText(FAKE.encoder, 512, ""))
        pool.close()


def test_a_base_that_the_server_does_not_have() -> None:
    with serving("vllm", FAKE) as server:
        pool = Pool(server.url)
        with pytest.raises(MismatchError, match="it has base-model"):
            open_server(pool, "another")
        pool.close()


def test_a_server_of_another_kind() -> None:
    with serving("vllm", FAKE) as server:
        pool = Pool(f"{server.url}/v1")
        with pytest.raises(ServerError, match="neither vLLM nor SGLang nor llama-server"):
            open_server(pool, None)
        pool.close()


@pytest.mark.parametrize("url", ["localhost:8000", "http://me:hunter2@host", "http://host/?key=x"])
def test_a_url_that_is_none_is_never_shown(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_estimator("zero-shot", base="any", server=url)
    assert "hunter2" not in str(caught.value)
    assert "key=x" not in str(caught.value)


def test_a_server_has_its_own_backend() -> None:
    with pytest.raises(UsageError, match="leave these out"):
        load_estimator("mini", server="http://localhost:1", backend="llama_cpp")
    with pytest.raises(UsageError, match="has no option 'threads'"):
        load_estimator("mini", server="http://localhost:1", threads=2)
