"""Estimators whose confidence is known: the answer's own words decide it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard.adapters import BaseModelRef, Manifest
from ct_guard.backends import Backend
from ct_guard.backends.fake import FakeBackend
from ct_guard.estimators import Estimator
from ct_guard.estimators.methods import METHODS
from ct_guard.query import build_query

MakeEstimator = Callable[..., Estimator]


def by_word(answer: str) -> float:
    """`sure` 3 (p = 0.95), `unsure` -3 (p = 0.05), anything else 0 (p = 0.5)."""
    return -3.0 if "unsure" in answer else 3.0 if "sure" in answer else 0.0


def estimator_on(backend: Backend, **manifest: Any) -> Estimator:
    about = Manifest.model_validate(
        {
            "name": "fake",
            "method": "query",
            "base": BaseModelRef(id="fake-base"),
            "style": "chat_turn",
            **manifest,
        }
    )
    return Estimator(
        manifest=about,
        method=METHODS[about.method](about),
        backend=backend,
        query=build_query(about.style, backend),
        adapter=None,
        fingerprint="f00d",
    )


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
