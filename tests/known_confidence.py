"""Estimators whose confidence is known: the answer's own words decide it."""

from typing import Any

from ct_guard.backends import Backend
from ct_guard.estimators import Estimator, make_method
from ct_guard.query import build_query
from ct_guard.store import BaseModelRef, Manifest


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
        method=make_method(about, backend=backend),
        backend=backend,
        query=build_query(about.style, backend),
        adapter=None,
        fingerprint="f00d",
    )
