"""Every backend, on a tiny real model where it runs one."""

from collections.abc import Iterator

import pytest

from ct_guard.backends import Backend
from ct_guard.backends.fake import FakeBackend


@pytest.fixture(scope="module", params=["fake", "transformers"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "fake":
        yield FakeBackend()
        return
    from ct_guard.backends.transformers import TransformersBackend

    made = TransformersBackend.load(request.getfixturevalue("tiny_base"), device="cpu")
    yield made
    made.close()
