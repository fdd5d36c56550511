"""Every backend, on a tiny real model where it runs one."""

from collections.abc import Iterator

import pytest

from ct_guard.backends import Backend
from ct_guard.backends.fake import FakeBackend

KINDS = ["fake", "transformers", "llama_cpp"]


def make_backend(kind: str, request: pytest.FixtureRequest) -> Backend:
    if kind == "transformers":
        from ct_guard.backends.transformers import TransformersBackend

        return TransformersBackend.load(request.getfixturevalue("tiny_base"), device="cpu")
    if kind == "llama_cpp":
        from ct_guard.backends.llama_cpp import LlamaCppBackend

        return LlamaCppBackend.load(request.getfixturevalue("tiny_gguf"), kv_type="f32", threads=1)
    return FakeBackend()


@pytest.fixture(scope="module", params=KINDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    made = make_backend(request.param, request)
    yield made
    made.close()


@pytest.fixture(params=KINDS)
def own_backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """One that a test may close."""
    made = make_backend(request.param, request)
    yield made
    made.close()
