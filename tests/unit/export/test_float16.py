"""A quantised file, unpacked to float16, computes what its weights say."""

import ctypes
from contextlib import closing
from pathlib import Path

import llama_cpp
import numpy as np
import pytest
from transformers import Qwen2Config

from ct_guard.backends import Item, Want
from ct_guard.backends.dequantised import ORIGIN
from ct_guard.backends.gguf_file import validate_base
from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.backends.llama_cpp.library import library
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import BackendError, UsageError
from ct_guard.export import export_base
from ct_guard.query import build_query
from tests.present import present
from tests.unit.export.conftest import MakeModel

LABELS: frozenset[Want] = frozenset({"labels"})
ROUNDINGS = 8
"""Of float16, one after the other: its cache, and what the layers add."""

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def quantised(make_model: MakeModel, tmp_path: Path) -> Path:
    export_base(make_model(Qwen2Config), tmp_path / "model.gguf", kind="q8_0")
    return tmp_path / "model.gguf"


def margins(backend: LlamaCppBackend | TransformersBackend) -> np.ndarray:
    """Yes against no for some answers."""
    query = build_query("raw", backend.encoder, label_ids=(100, 101))
    items = [
        Item(tuple(backend.encoder.encode(f"Question: {at} plus 2?\nAnswer:")), (40 + at, 41))
        for at in range(12)
    ]
    found = present(backend.score(items, query, None, LABELS).label_logits)
    return found[:, 1] - found[:, 0]


def test_scores_are_those_of_the_weights(quantised: Path) -> None:
    expected = margins(TransformersBackend.load(quantised, dtype="float32"))
    with closing(LlamaCppBackend.load(quantised, threads=1, dtype="float16")) as unpacked:
        exact = np.abs(margins(unpacked) - expected)
    with closing(LlamaCppBackend.load(quantised, threads=1)) as as_it_is:
        rounded = np.abs(margins(as_it_is) - expected)
    assert exact.max() < ROUNDINGS * np.finfo(np.float16).eps * np.abs(expected).max()
    assert np.median(rounded) > 3 * np.median(exact)


def test_it_is_the_same_base_and_made_once(
    quantised: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(LlamaCppBackend.load(quantised, threads=1)) as as_it_is:
        known = (as_it_is.fingerprint, as_it_is.digest)
        assert as_it_is.format == "Q8_0"
    for told in (1, 0):
        caplog.clear()
        with closing(LlamaCppBackend.load(quantised, threads=1, dtype="float16")) as unpacked:
            assert (unpacked.fingerprint, unpacked.digest) == known
            assert unpacked.format == "F16"
        assert caplog.text.count("Unpacking") == told
    (made,) = (cache / "dequantised").glob(f"{known[1][:32]}-*/")
    assert {path.name for path in made.iterdir()} == {"model.gguf", ORIGIN}


@pytest.mark.parametrize("dtype", ["float16", "auto"])
def test_a_file_of_floats_is_read_as_it_is(
    dtype: str, make_model: MakeModel, cache: Path, tmp_path: Path
) -> None:
    export_base(make_model(Qwen2Config), tmp_path / "floats.gguf", kind="f32")
    with closing(LlamaCppBackend.load(tmp_path / "floats.gguf", threads=1, dtype=dtype)) as backend:
        assert backend.format == "F32"
    assert not (cache / "dequantised").exists()


def test_what_is_quantised_beside_larger_floats_is_unpacked(
    make_model: MakeModel, cache: Path, tmp_path: Path
) -> None:
    """Tables of embeddings are often kept in 16 bits, and may be most of a small model."""
    export_base(make_model(Qwen2Config), tmp_path / "floats.gguf", kind="f16")
    wanted = llama_cpp.llama_model_quantize_default_params()
    wanted.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
    wanted.token_embedding_type = wanted.output_tensor_type = llama_cpp.GGML_TYPE_F16
    places = (str(tmp_path / name).encode() for name in ("floats.gguf", "mixed.gguf"))
    assert library().llama_model_quantize(*places, ctypes.byref(wanted)) == 0
    kinds = {tensor.type.name for tensor in validate_base(tmp_path / "mixed.gguf").tensors.values()}
    assert {"Q8_0", "F16"} <= kinds
    LlamaCppBackend.load(tmp_path / "mixed.gguf", threads=1, dtype="float16").close()
    (made,) = (cache / "dequantised").glob("*/model.gguf")
    assert {tensor.type.name for tensor in validate_base(made).tensors.values()} == {"F16", "F32"}


def test_other_formats_are_refused(quantised: Path) -> None:
    with pytest.raises(UsageError, match="'bfloat16': a GGUF file has its own precision"):
        LlamaCppBackend.load(quantised, dtype="bfloat16")


def test_no_room_is_said(quantised: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(BackendError, match=r"cannot unpack .*CT_GUARD_CACHE"):
        LlamaCppBackend.load(quantised, dtype="float16")
