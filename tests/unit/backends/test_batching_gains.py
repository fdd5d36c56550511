"""Where callers are joined by default: where answers take less time together than one by one."""

from pathlib import Path

import pytest

from ct_guard.backends import transformers
from ct_guard.backends.llama_cpp import LlamaCppBackend, backend
from ct_guard.backends.transformers import TransformersBackend


@pytest.mark.parametrize(("small", "gains"), [(1 << 40, True), (0, False)])
def test_on_a_cpu_only_a_small_model_gains(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, small: int, gains: bool
) -> None:
    monkeypatch.setattr(transformers, "SMALL", small)
    made = TransformersBackend.load(tiny_base, device="cpu")
    assert made.capabilities.batching_gains is gains


@pytest.mark.parametrize(("small", "gains"), [(1 << 40, True), (0, False)])
def test_so_it_is_with_a_gguf_file(
    tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch, small: int, gains: bool
) -> None:
    monkeypatch.setattr(backend, "SMALL", small)
    made = LlamaCppBackend.load(tiny_gguf, threads=1)
    assert made.capabilities.batching_gains is gains
    made.close()
