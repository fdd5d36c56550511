"""The two seams of a method: it reads figures that the estimator had its base compute, or it judges
rows as text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends import Backend, ScoreBatch, Want
from ct_guard.errors import CtGuardError
from ct_guard.methods import METHODS, Evidence
from ct_guard.records import QuestionAnswer
from ct_guard.store import Manifest

__all__ = ["Floats", "Judged", "Maker", "Method", "TextMethod", "wants_of"]

Floats = NDArray[np.float64]

Judged = float | CtGuardError
"""A raw logit, or why there is none."""

_WANTS: dict[Evidence, Want] = {
    "query": "labels",
    "likelihood": "answer_logprobs",
    "hidden": "hidden",
}


class Method(Protocol):
    """Turns what it `wants` of a backend into raw logits, float64 [B]."""

    @property
    def wants(self) -> frozenset[Want]: ...

    def logits(self, batch: ScoreBatch, questions: Sequence[str]) -> Floats:
        """`questions`: the text of what was asked, for each of the B items."""
        ...


@runtime_checkable
class TextMethod(Protocol):
    """Judges questions and answers as text: by what its base model replies, or without any base.
    Rows come together, so that one may tell of another."""

    def judge(self, items: Sequence[QuestionAnswer]) -> list[Judged]:
        """A raw logit for each item, or why there is none."""
        ...


class Maker(Protocol):
    """Makes a method from an estimator's manifest and, where they belong to it, the directory with
    its files and the base model that it asks. Raises ManifestError for what does not fit."""

    def __call__(
        self, manifest: Manifest, folder: Path | None, backend: Backend | None, /
    ) -> Method | TextMethod: ...


def wants_of(name: str) -> frozenset[Want]:
    """What a method's evidence is to a backend."""
    return frozenset(want for one, want in _WANTS.items() if one in METHODS[name].evidence)


def logit(p: float) -> float:
    """log p - log(1 - p), of p in (0, 1)."""
    return float(np.log(p) - np.log1p(-p))
