"""`query` and `zero-shot`: z = logit(yes) - logit(no) of the uncertainty query, with and without an
adapter. Source: Kapoor et al. 2024, section 4."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ct_guard.backends import Backend, ScoreBatch, Want
from ct_guard.store import Manifest

from .base import Floats, wants_of

__all__ = ["QueryMethod", "make", "margins"]


@dataclass(frozen=True)
class QueryMethod:
    """z_yes - z_no."""

    wants: frozenset[Want] = wants_of("query")

    def logits(self, batch: ScoreBatch, questions: Sequence[str]) -> Floats:
        return margins(batch)


def make(manifest: Manifest, folder: Path | None, backend: Backend | None) -> QueryMethod:
    return QueryMethod()


def margins(batch: ScoreBatch) -> Floats:
    """z of each item, shape (B,)."""
    if batch.label_logits is None:
        raise ValueError("the backend was not asked for label logits")
    pairs = batch.label_logits.astype(np.float64)
    return np.asarray(pairs[:, 1] - pairs[:, 0])
