"""What is llama.cpp's own: its limits, none of which ends the process, its cache and its log."""

import gc
import logging
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import numpy as np
import pytest

from ct_guard.backends import KV, Adapter, GenerationSettings, Item, Want
from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.backends.llama_cpp.context import usable_cores
from ct_guard.backends.llama_cpp.library import check_symbols
from ct_guard.errors import (
    BackendError,
    ManifestError,
    MismatchError,
    NonFiniteScoreError,
    UsageError,
)
from ct_guard.estimators import load_estimator
from ct_guard.query import Query, build_query
from ct_guard.store import load_manifest, with_file, write_manifest
from tests.present import present

LABELS: frozenset[Want] = frozenset({"labels"})
EVERYTHING: frozenset[Want] = frozenset({"labels", "answer_logprobs", "hidden"})
Load = Callable[..., LlamaCppBackend]


@pytest.fixture
def load(tiny_gguf: Path) -> Iterator[Load]:
    """Loads the tiny model with options, and closes it after the test."""
    made: list[LlamaCppBackend] = []

    def make(**options: object) -> LlamaCppBackend:
        made.append(LlamaCppBackend.load(tiny_gguf, **{"threads": 1, **options}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for backend in made:
        backend.close()


def ids(backend: LlamaCppBackend, text: str) -> tuple[int, ...]:
    return tuple(backend.encoder.encode(text))


def asked(backend: LlamaCppBackend, context: str = "Question: why?\nAnswer:") -> Item:
    return Item(ids(backend, context), ids(backend, " because"))


def generated(backend: LlamaCppBackend, text: str = "Question: why?\nAnswer:") -> KV:
    kv = backend.generate([ids(backend, text)], GenerationSettings(max_tokens=6))[0].kv
    assert kv is not None
    return kv


def logits(backend: LlamaCppBackend, items: list[Item], query: Query) -> np.ndarray:
    found = backend.score(items, query, None, LABELS).label_logits
    assert found is not None
    return found


# --- loading -------------------------------------------------------------------------------------


def test_a_directory_stands_for_its_only_file(tiny_gguf: Path, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"one GGUF file and holds none.*ct-guard export gguf"):
        LlamaCppBackend.load(tmp_path)
    shutil.copy(tiny_gguf, tmp_path / "a.gguf")
    LlamaCppBackend.load(tmp_path, threads=1).close()
    shutil.copy(tiny_gguf, tmp_path / "b.gguf")
    with pytest.raises(BackendError, match=r"holds a\.gguf, b\.gguf"):
        LlamaCppBackend.load(tmp_path)
    with pytest.raises(BackendError, match="no base model at"):
        LlamaCppBackend.load("some-org/some-model")


def test_a_file_of_another_origin_has_a_fingerprint_of_its_own(
    tiny_gguf: Path, tmp_path: Path
) -> None:
    data = tiny_gguf.read_bytes()
    (tmp_path / "model.gguf").write_bytes(
        data.replace(b"ct_guard.fingerprint", b"ct_elsewhere.printed")
    )
    here = LlamaCppBackend.load(tiny_gguf, threads=1)
    there = LlamaCppBackend.load(tmp_path, threads=1)
    assert len(there.fingerprint) == 16
    assert there.fingerprint != here.fingerprint
    here.close()
    there.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_ctx": 0}, "n_ctx is 0"),
        ({"n_batch": 0}, "n_batch is 0"),
        ({"threads": 1000}, "threads is 1000"),
        ({"max_sequences": 257}, "max_sequences is 257 and must be from 1 to 256"),
        ({"kv_type": "q3"}, "f16 or f32"),
    ],
)
def test_options_out_of_range_are_refused(
    load: Load, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        load(**options)


def test_a_build_without_a_gpu_says_so(load: Load) -> None:
    from ct_guard.backends.llama_cpp.library import library

    if library().llama_supports_gpu_offload():
        pytest.skip("this build has GPU support")
    with pytest.raises(BackendError, match="no GPU support"):
        load(n_gpu_layers=10)


def test_a_build_that_lacks_a_function_says_which() -> None:
    with pytest.raises(BackendError, match=r"lacks llama_\w+: install a newer llama-cpp-python"):
        check_symbols(SimpleNamespace(llama_decode=None))


def test_options_reach_the_backend_through_load_estimator(
    tiny_gguf: Path, tiny_adapter: Path, tiny_estimator: Path, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match=r"has no adapter\.gguf.*ct-guard export gguf"):
        load_estimator(tiny_estimator, backend="llama_cpp", base=tiny_gguf, threads=1)
    exported = tmp_path / "exported"
    shutil.copytree(tiny_estimator, exported)
    shutil.copy(tiny_adapter / "adapter.gguf", exported / "adapter")
    write_manifest(exported, with_file(load_manifest(exported), exported, "adapter/adapter.gguf"))
    made = load_estimator(
        exported, backend="llama_cpp", base=tiny_gguf, n_ctx=512, threads=1, kv_type="f32"
    )
    assert present(made.backend).name == "llama_cpp"
    assert present(made.backend).max_tokens == 512
    made.close()
    for options, message in (
        ({"nctx": 512}, r"no option 'nctx': it has kv_type, max_sequences, n_batch, n_ctx"),
        ({"dtype": "bfloat16"}, r"its own precision \(auto\), or is unpacked to float16"),
    ):
        with pytest.raises(UsageError, match=message):
            load_estimator(exported, backend="llama_cpp", base=tiny_gguf, **options)
    with pytest.raises(UsageError, match="transformers has no option 'n_ctx'"):
        load_estimator(tiny_estimator, n_ctx=512)


# --- adapters ------------------------------------------------------------------------------------


def test_adapters_may_come_at_any_time(load: Load, tiny_adapter: Path, tmp_path: Path) -> None:
    """The second is loaded over a cache that has been used, and changes the scores otherwise."""
    backend = load()
    other = tmp_path / "other"
    shutil.copytree(tiny_adapter, other)
    reader = gguf.GGUFReader(other / "adapter.gguf", "r+")
    for tensor in reader.tensors:
        tensor.data[:] *= -0.5
    reader.data.flush()
    query, item = build_query("raw", backend.encoder), asked(backend)
    first, second = Adapter("first", tiny_adapter, "query"), Adapter("second", other, "query")
    scores = [
        backend.score([item], query, adapter, LABELS).label_logits
        for adapter in (None, first, second, None, first, second)
    ]
    for one, again in zip(scores[:3], scores[3:], strict=True):
        np.testing.assert_array_equal(one, again)
    assert len({float(score[0, 0]) for score in scores if score is not None}) == 3


def test_an_adapter_that_cannot_be_used_is_refused(
    load: Load, tiny_adapter: Path, tmp_path: Path
) -> None:
    backend = load()
    query, item = build_query("raw", backend.encoder), asked(backend)
    with pytest.raises(MismatchError, match=r"no adapter\.gguf in .*ct-guard export gguf"):
        backend.score([item], query, Adapter("none", tmp_path, "query"), LABELS)
    (tmp_path / "adapter.gguf").write_bytes((tiny_adapter / "adapter.gguf").read_bytes()[:-100])
    with pytest.raises(MismatchError, match="cannot use the adapter"):
        backend.score([item], query, Adapter("cut", tmp_path, "query"), LABELS)
    backend.score([item], query, Adapter("good", tiny_adapter, "query"), LABELS)
    with pytest.raises(UsageError, match="another adapter named 'good'"):
        backend.add_adapter(Adapter("good", tmp_path, "query"))


# --- limits --------------------------------------------------------------------------------------


def test_batches_of_any_size_score_alike(load: Load) -> None:
    whole = load(kv_type="f32")
    query = build_query("raw", whole.encoder)
    items = [asked(whole, "Question: " + "why " * size) for size in (40, 3, 25, 3)]
    items += [Item(items[0].context, ids(whole, " so" * size)) for size in (1, 9)]
    expected = whole.score(items, query, None, EVERYTHING)
    for options in (
        {"n_batch": 32},
        {"max_sequences": 1},
        {"max_sequences": 2},
        {"max_sequences": 3},
        {"max_sequences": 4},
        {"batch_size": 2},
        {"n_ctx": 256},
    ):
        found = load(kv_type="f32", **options).score(items, query, None, EVERYTHING)
        np.testing.assert_allclose(
            present(found.label_logits), present(expected.label_logits), atol=1e-4
        )
        np.testing.assert_allclose(present(found.hidden), present(expected.hidden), atol=1e-4)
        assert found.answer_logprobs is not None
        assert expected.answer_logprobs is not None
        for row, other in zip(found.answer_logprobs, expected.answer_logprobs, strict=True):
            np.testing.assert_allclose(row, other, atol=1e-4)


def test_more_tokens_than_the_cache_has_are_refused(load: Load) -> None:
    backend = load(n_ctx=100)
    assert backend.max_tokens == 100
    query = build_query("raw", backend.encoder)
    with pytest.raises(UsageError, match=r"longer than the 100 that fit.*n_ctx"):
        backend.score([asked(backend, "why " * 60)], query, None, LABELS)
    with pytest.raises(UsageError, match="exceed the model's 100"):
        backend.generate([ids(backend, "why?")], GenerationSettings(max_tokens=100))
    assert np.isfinite(logits(backend, [asked(backend)], query)).all()


def test_the_cache_never_promises_more_than_the_model_was_trained_for(load: Load) -> None:
    assert load(n_ctx=8192).max_tokens == 1024


def test_live_kvs_fill_the_cache_until_they_are_released(load: Load) -> None:
    backend = load(n_ctx=256)
    query = build_query("raw", backend.encoder)
    kvs = [generated(backend, f"{number} " * 30) for number in range(3)]
    with pytest.raises(BackendError, match="the cache of 256 tokens is full: release"):
        backend.score([asked(backend, "why " * 30)], query, None, LABELS)
    for kv in kvs:
        backend.release(kv)
    assert np.isfinite(logits(backend, [asked(backend, "why " * 30)], query)).all()


def test_there_are_only_so_many_sequences(load: Load) -> None:
    backend = load(max_sequences=2)
    kvs = [generated(backend), generated(backend)]
    with pytest.raises(BackendError, match="all 2 sequences are in use: release"):
        generated(backend)
    del kvs[0]
    gc.collect()
    assert generated(backend).ids  # what nobody holds is freed


@pytest.mark.parametrize("token", [-1, 320, 2**31, 2**40])
def test_ids_outside_the_vocabulary_are_refused(load: Load, token: int) -> None:
    backend = load()
    query = build_query("raw", backend.encoder)
    token = token if token != 320 else backend.vocabulary_size
    with pytest.raises(UsageError, match="below"):
        backend.score([Item((token, 5), (6,))], query, None, LABELS)
    with pytest.raises(UsageError, match="below"):
        backend.generate([(5, token)], GenerationSettings(max_tokens=2))
    with pytest.raises(UsageError, match="not in the vocabulary"):
        backend.encoder.decode([token])


def test_nothing_to_read_is_refused(load: Load) -> None:
    backend = load()
    query = build_query("raw", backend.encoder)
    for item in (Item((), (5,)), Item((5,), ())):
        with pytest.raises(UsageError, match="without tokens"):
            backend.score([item], query, None, LABELS)
    with pytest.raises(UsageError, match="without tokens"):
        backend.stream((), GenerationSettings(max_tokens=2))


def test_weights_that_are_no_numbers_give_no_score(tiny_gguf: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_gguf, tmp_path / "model.gguf")
    reader = gguf.GGUFReader(tmp_path / "model.gguf", "r+")
    norm = next(tensor for tensor in reader.tensors if tensor.name == "output_norm.weight")
    norm.data[:] = np.nan
    reader.data.flush()
    backend = LlamaCppBackend.load(tmp_path, threads=1)
    query, item = build_query("raw", backend.encoder), asked(backend)
    for want in (LABELS, frozenset[Want]({"answer_logprobs"})):
        with pytest.raises(NonFiniteScoreError):
            backend.score([item], query, None, want)
    with pytest.raises(NonFiniteScoreError):
        backend.generate([item.context], GenerationSettings(max_tokens=2))  # type: ignore[list-item]
    backend.close()


# --- live KVs ------------------------------------------------------------------------------------


def test_a_kv_of_another_backend_or_a_released_one_is_refused(load: Load) -> None:
    one, other = load(), load()
    query, kv = build_query("raw", one.encoder), generated(one)
    with pytest.raises(BackendError, match="another backend"):
        other.score([Item(kv, ())], query, None, LABELS)
    with pytest.raises(BackendError, match="another backend"):
        other.stream(kv.ids, GenerationSettings(max_tokens=2), past=kv)
    one.release(kv)
    with pytest.raises(BackendError, match="released"):
        one.score([Item(kv, ())], query, None, LABELS)
    with pytest.raises(BackendError, match="released"):
        one.save_state(kv)


def test_scoring_leaves_a_conversation_as_it_was(load: Load, tiny_adapter: Path) -> None:
    """The adapter's tokens are gone: the chat goes on with the tokens it would have had."""
    backend = load()
    query = build_query("raw", backend.encoder)
    goes_on = ids(backend, "\nQuestion: and then?\nAnswer:")
    answers = []
    for scored in (False, True):
        kv = generated(backend)
        if scored:
            for activation in ("query", "all"):
                adapter = Adapter(activation, tiny_adapter, activation)
                backend.score([Item(kv, ())] * 3, query, adapter, LABELS)
        stream = backend.stream((*kv.ids, *goes_on), GenerationSettings(max_tokens=12), past=kv)
        answers.append([(piece.id, piece.logprob) for piece in stream])
        assert stream.result.cached_tokens == len(kv.ids)
    assert answers[0] == answers[1]


def test_a_saved_kv_goes_on_where_it_was(load: Load) -> None:
    backend, later = load(), load()
    query, kv = build_query("raw", backend.encoder), generated(backend)
    data = backend.save_state(kv)
    restored = later.restore_state(data)
    assert restored.ids == kv.ids
    assert restored.answer_start == kv.answer_start
    np.testing.assert_array_equal(restored.answer_logprobs, kv.answer_logprobs)
    np.testing.assert_array_equal(
        logits(later, [Item(restored, ())], query), logits(backend, [Item(kv, ())], query)
    )
    batch = later.score([Item(restored, ())], query, None, LABELS)
    assert batch.cached_tokens.tolist() == [len(kv.ids)]


def test_a_saved_kv_that_does_not_fit_is_refused(load: Load) -> None:
    backend = load()
    data = backend.save_state(generated(backend, "why " * 40))
    damaged = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    for wrong in (b"", b"no state", damaged, data[:-1], b"[]\n" + data):
        with pytest.raises(BackendError, match="damaged"):
            backend.restore_state(wrong)
    with pytest.raises(BackendError, match="belongs to"):
        load(kv_type="f32").restore_state(data)
    small = load(n_ctx=256)
    held = [generated(small, f"{number} " * 30) for number in range(3)]
    with pytest.raises(BackendError, match="does not fit this cache"):
        small.restore_state(data)
    assert len(held) == 3


# --- threads and the end -------------------------------------------------------------------------


def test_threads_that_share_a_backend_get_what_each_would_alone(load: Load) -> None:
    backend = load()
    query = build_query("raw", backend.encoder)
    items = [asked(backend, f"Question {number}:" + " why" * number) for number in range(4)]
    expected = logits(backend, items, query)
    answer = generated(backend).ids
    wrong: list[object] = []

    def score() -> None:
        wrong.extend(
            found for _ in range(8)
            if not np.allclose(found := logits(backend, items, query), expected, atol=0.02)
        )  # fmt: skip

    def talk() -> None:
        wrong.extend(kv for _ in range(8) if (kv := generated(backend)).ids != answer)

    threads = [threading.Thread(target=work) for work in (score, talk, score, talk)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_close_waits_for_the_call_that_runs(load: Load) -> None:
    backend = load()
    query = build_query("raw", backend.encoder)
    items = [asked(backend, f"{number}" + " why" * 40) for number in range(30)]
    outcomes: list[object] = []
    started = threading.Event()

    def score() -> None:
        started.set()
        try:
            while True:
                outcomes.append(logits(backend, items, query).shape)
        except BackendError as error:
            outcomes.append(str(error))

    thread = threading.Thread(target=score)
    thread.start()
    started.wait()
    time.sleep(0.05)
    backend.close()
    thread.join(timeout=60)
    assert outcomes[-1] == "this backend is closed"
    assert set(outcomes[:-1]) <= {(30, 2)}


def test_everything_says_that_it_is_closed(load: Load) -> None:
    backend = load()
    query, item, kv = build_query("raw", backend.encoder), asked(backend), generated(backend)
    state = backend.save_state(kv)
    backend.close()
    for call in (
        lambda: backend.encoder.encode("text"),
        lambda: backend.encoder.encode("text", special=True),
        lambda: backend.encoder.decode([5]),
        lambda: backend.score([item], query, None, LABELS),
        lambda: backend.save_state(kv),
        lambda: backend.restore_state(state),
        lambda: backend.stream(kv.ids, GenerationSettings(max_tokens=2), past=kv),
    ):
        with pytest.raises(BackendError, match="closed"):
            call()
    backend.release(kv)


# --- log and memory ------------------------------------------------------------------------------


def test_the_log_of_llama_cpp_is_python_s(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="ct_guard.llama_cpp"):
        load()
    assert any("llama_context" in record.message for record in caplog.records)


def test_standard_error_stays_empty(tiny_gguf: Path, tmp_path: Path) -> None:
    """Also where llama.cpp itself refuses something, and where nobody closes the backend."""
    program = f"""
from ct_guard.backends import GenerationSettings
from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.backends.llama_cpp.model import Model
from ct_guard.backends.gguf_file import validate_base
from ct_guard.errors import CtGuardError
from pathlib import Path
backend = LlamaCppBackend.load({str(tiny_gguf)!r}, threads=1, n_ctx=8192)
print(backend.generate([(5, 6)], GenerationSettings(max_tokens=3))[0].ids != ())
try:
    backend._model.load_adapter(Path({str(tiny_gguf)!r}))
except CtGuardError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == "True"
    assert "expect general.type to be 'adapter'" in second


def test_memory_does_not_grow_with_the_answers(load: Load, tiny_adapter: Path) -> None:
    backend = load(max_sequences=24)
    query = build_query("raw", backend.encoder)
    adapter = Adapter("query", tiny_adapter, "query")
    items = [asked(backend, f"{number}?") for number in range(19)]

    def score_answers(number: int) -> int:
        for _ in range(number // 20):
            batch = [*items, Item(generated(backend), ())]
            backend.score(batch, query, adapter, EVERYTHING - {"hidden"})
        return resident()

    before = score_answers(200)
    assert score_answers(1000) <= before * 1.025


def resident() -> int:
    """Bytes of memory that this process holds."""
    gc.collect()
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("the memory of a process is read from /proc")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def test_threads_are_no_more_than_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = usable_cores()
    for said, threads in {"1": 1, "1,2": 1, "999": cores, "0": cores, "many": cores}.items():
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        assert usable_cores() == threads
