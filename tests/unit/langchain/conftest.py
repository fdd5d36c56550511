"""Estimators whose confidence is known: the answer's own words decide it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard.backends import Backend
from ct_guard.estimators import Estimator
from ct_guard.testing import FakeBackend
from tests.known_confidence import by_word, estimator_on

MakeEstimator = Callable[..., Estimator]


@pytest.fixture
def make_estimator() -> MakeEstimator:
    """`make_estimator(logit=..., backend=..., **manifest)`; by default `by_word`."""

    def make(
        *,
        logit: Callable[[str], float] | None = by_word,
        backend: Backend | None = None,
        **manifest: Any,
    ) -> Estimator:
        return estimator_on(backend or FakeBackend(logit=logit), **manifest)

    return make


@pytest.fixture
def estimator(make_estimator: MakeEstimator) -> Estimator:
    return make_estimator()


@pytest.fixture(scope="session")
def tiny_estimator(tiny_base: Path) -> Estimator:
    """On the tiny real Llama."""
    from ct_guard.backends.transformers import TransformersBackend

    return estimator_on(TransformersBackend.load(tiny_base, device="cpu"), name="tiny")
