"""A base model and graded answers that anything which reads the answer can learn."""

from pathlib import Path

import pytest

from ct_guard.backends.transformers import TransformersBackend


@pytest.fixture
def backend(tiny_base: Path) -> TransformersBackend:
    return TransformersBackend.load(tiny_base, device="cpu")
