"""Wrong arithmetic is refused by name in every number format, and no format is refused for its own
noise: on the embedded model, and on a real one."""

import dataclasses
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from ct_guard.backends import Adapter, Backend, Item, MannerWarning, self_test
from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import SelfTestError
from ct_guard.query import build_query
from ct_guard.store import base_place, load_manifest, locate

FORMATS = ("float32", "bfloat16", "Q8_0", "Q4_1")
REAL = {"SmolLM2 float32": "transformers", "SmolLM2 Q4_1": "llama_cpp"}
"""A real model as it comes, and as it is unpacked: what reads it."""
LOADS = 10
"""Of each format; every way of having an adapter is among them."""


@pytest.fixture(scope="module")
def mini_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The embedded base in each format, by name."""
    folder = Path(base_place("mini"))
    files = {"float32": folder, "bfloat16": folder}
    for kind in ("Q8_0", "Q4_1"):
        path = tmp_path_factory.mktemp(kind) / "model.gguf"
        requantize(folder / "model.gguf", path, gguf.GGMLQuantizationType[kind])
        files[kind] = path
    return files


def requantize(source: Path, target: Path, kind: gguf.GGMLQuantizationType) -> None:
    """The same keys, and every matrix in another format."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            writer.add_key_value(
                field.name, field.contents(), field.types[0],
                field.types[-1] if len(field.types) > 1 else None,
            )  # fmt: skip
    for tensor in reader.tensors:
        data = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if data.ndim == 2 and data.shape[1] % 32 == 0:
            writer.add_tensor(tensor.name, gguf.quants.quantize(data, kind), raw_dtype=kind)
        else:
            writer.add_tensor(tensor.name, data.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module", params=(*FORMATS, *REAL))
def loaded(request: pytest.FixtureRequest) -> Iterator[Any]:
    """What it says is the same for all faults below, which only change what is asked or said."""
    if request.param in REAL:
        backend = request.getfixturevalue("smol_engine")(REAL[request.param])
        score = backend.score
        backend.score = once(score)
        yield backend
        backend.score = score
        return
    files = request.getfixturevalue("mini_files")
    backend = load(files[request.param], request.param)
    backend.read_plainly, backend.score = cache(backend.read_plainly), once(backend.score)
    yield backend
    backend.close()


def once(score: Callable[..., Any]) -> Callable[..., Any]:
    """Scores the same rows in the same way one time."""
    known = cache(score)
    return lambda items, *how: known(tuple(items), *how)


@pytest.fixture
def backend(loaded: Any) -> Iterator[Any]:
    score = loaded.score
    yield loaded
    loaded.score = score


def load(path: Path, kind: str) -> Any:
    if kind in ("float32", "bfloat16"):
        return TransformersBackend.load(path, dtype=kind)
    return LlamaCppBackend.load(path, threads=1)


def tuned(backend: Backend, activation: Any = "query") -> Adapter:
    """An adapter that was tuned for this base."""
    folder = locate("smol" if backend.fingerprint == smol_fingerprint() else "mini:query")
    manifest = load_manifest(folder)
    assert manifest.adapter is not None
    return Adapter(f"tuned-{activation}", folder / manifest.adapter, activation)


def smol_fingerprint() -> str:
    return load_manifest(locate("smol")).base.fingerprint


def check(backend: Backend, adapter: Adapter | None) -> float:
    return self_test(backend, build_query("chat_turn", backend.encoder), adapter)


# --- what is sound ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_clean_loads_pass(kind: str, mini_files: dict[str, Path]) -> None:
    for number in range(LOADS):
        loaded = load(mini_files[kind], kind)
        adapter = (None, tuned(loaded), tuned(loaded, "all"))[number % 3]
        assert 0 <= check(loaded, adapter) < 1
        assert loaded.format == kind
        loaded.close()


def test_the_noise_is_that_of_the_format(mini_files: dict[str, Path]) -> None:
    noise = {kind: check(load(path, kind), None) for kind, path in mini_files.items()}
    assert noise["float32"] < 1e-3 < noise["bfloat16"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_real_model_passes_on_transformers(smol_folder: Path, dtype: str) -> None:
    loaded = TransformersBackend.load(smol_folder, dtype=dtype)
    assert check(loaded, None) < 0.5
    loaded.close()


def test_a_real_quantised_file_passes_on_llama_cpp(smol_gguf: Path) -> None:
    loaded = LlamaCppBackend.load(smol_gguf, threads=1)
    assert loaded.format == "Q4_1"
    assert 0.01 < check(loaded, None) < 0.5
    loaded.close()


# --- faults that any backend could have ---------------------------------------------------------


def serve(backend: Any, change: Callable[..., Any]) -> None:
    """Have the backend score as `change(score, items, query, adapter, want)` says."""
    score = backend.score
    backend.score = lambda *args: change(score, *args)


def test_an_ignored_adapter_is_refused(backend: Any) -> None:
    serve(backend, lambda score, items, query, adapter, want: score(items, query, None, want))
    with pytest.raises(SelfTestError, match="'tuned-query' changes nothing"):
        check(backend, tuned(backend))


@pytest.mark.parametrize("loaded", FORMATS, indirect=True)
@pytest.mark.parametrize("says", ["query", "all"])
def test_an_adapter_that_acts_on_other_tokens_is_refused(backend: Any, says: str) -> None:
    """That of SmolLM2 has learnt in the last layer alone, where it is the same wherever it acts."""
    other = {"query": "all", "all": "query"}[says]

    def elsewhere(score: Any, items: Any, query: Any, adapter: Any, want: Any) -> Any:
        return score(items, query, adapter and tuned(backend, other), want)

    serve(backend, elsewhere)
    with pytest.raises(SelfTestError, match=r"'tuned-.*' acts on .*, not on"):
        check(backend, tuned(backend, says))


def test_exchanged_labels_are_refused(backend: Any) -> None:
    def exchanged(score: Any, items: Any, query: Any, adapter: Any, want: Any) -> Any:
        batch = score(items, query, adapter, want)
        return dataclasses.replace(batch, label_logits=batch.label_logits[:, ::-1])

    serve(backend, exchanged)
    with pytest.raises(SelfTestError, match="labels are exchanged"):
        check(backend, None)


def test_a_query_behind_a_token_too_few_is_refused(backend: Any) -> None:
    def short(score: Any, items: Any, query: Any, adapter: Any, want: Any) -> Any:
        rows = [(*item.context, *item.answer)[:-1] for item in items]
        return score([Item(row[:-1], row[-1:]) for row in rows], query, adapter, want)

    serve(backend, short)
    with pytest.raises(SelfTestError, match="one token too few"):
        check(backend, None)


def test_the_cache_of_another_row_is_refused(backend: Any) -> None:
    def rolled(score: Any, items: Any, query: Any, adapter: Any, want: Any) -> Any:
        batch = score(items, query, adapter, want)
        return dataclasses.replace(batch, label_logits=np.roll(batch.label_logits, -1, axis=0))

    serve(backend, rolled)
    with pytest.raises(SelfTestError, match="cache of another row"):
        check(backend, None)


def test_tokens_of_another_row_are_refused(backend: Any) -> None:
    def leaking(score: Any, items: Any, query: Any, adapter: Any, want: Any) -> Any:
        others = [*items[1:], items[0]]
        leaky = [
            dataclasses.replace(item, context=(*other.context, *other.answer, *item.context))
            for item, other in zip(items, others, strict=True)
        ]
        return score(leaky, query, adapter, want)

    serve(backend, leaking)
    with pytest.raises(SelfTestError, match=r"tokens of other rows|cache of another row"):
        check(backend, None)


def test_a_cache_of_another_adapter_is_refused(backend: Any) -> None:
    """What the base says after the adapter was on is what the adapter says."""

    def sticky(score: Any, items: Any, query: Any, adapter: Any, want: Any) -> Any:
        return score(items, query, tuned(backend), want)

    serve(backend, sticky)
    with pytest.raises(SelfTestError, match="stays on behind its use"):
        check(backend, tuned(backend))


# --- faults of padded batches --------------------------------------------------------------------


def spoil(backend: TransformersBackend, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    layers = backend.decoder.layers
    backend.decoder.layers = lambda **inputs: layers(**change(inputs))


@pytest.fixture(params=["float32", "bfloat16"])
def padding_backend(
    request: pytest.FixtureRequest, mini_files: dict[str, Path]
) -> Iterator[TransformersBackend]:
    loaded = TransformersBackend.load(mini_files[request.param], dtype=request.param)
    yield loaded
    loaded.close()


def test_positions_that_are_off_by_one_are_refused(padding_backend: TransformersBackend) -> None:
    query = build_query("chat_turn", padding_backend.encoder).ids

    def shifted(inputs: dict[str, Any]) -> dict[str, Any]:
        positions = inputs["position_ids"].clone()
        if tuple(inputs["input_ids"][0, -len(query) :].tolist()) == query:
            positions[:, -len(query) :] += 1
        return inputs | {"position_ids": positions}

    spoil(padding_backend, shifted)
    with pytest.raises(SelfTestError, match="positions are off by one"):
        check(padding_backend, None)


def test_padding_that_is_attended_to_is_refused(padding_backend: TransformersBackend) -> None:
    """Also where rows are read one by one: here every row is padded."""

    def attended(inputs: dict[str, Any]) -> dict[str, Any]:
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        wide = (len(ids), 4)
        positions = inputs["position_ids"]
        return inputs | {
            "input_ids": torch.cat([ids.new_zeros(wide), ids], 1),
            "attention_mask": torch.cat([mask.new_ones(wide), mask.new_ones(mask.shape)], 1),
            "position_ids": torch.cat([positions.new_zeros(wide), positions], 1),
        }

    spoil(padding_backend, attended)
    with pytest.raises(SelfTestError, match="padding is attended to"):
        check(padding_backend, None)


def test_padding_that_batches_attend_to_costs_them_their_batches(
    padding_backend: TransformersBackend,
) -> None:
    spoil(
        padding_backend,
        lambda inputs: inputs | {"attention_mask": inputs["attention_mask"].new_ones(
            inputs["attention_mask"].shape
        )},
    )  # fmt: skip
    with pytest.warns(MannerWarning, match="padding is attended to"):
        check(padding_backend, None)
    assert padding_backend.manner == "alone"
