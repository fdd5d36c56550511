"""The layer: from the numbers of all evidence to one logit.

Three kinds compete by cross-validated log loss: a logistic one, with a column that says where a
number is missing; boosted trees, which need more rows and find what depends on what; and the mean
of both, whose errors partly cancel.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from ct_guard.records import Record
from ct_guard.store import LogisticLayer
from ct_guard.store.layer import fit_logistic, layer_logits

from .trees import Trees, fit_trees, trees_logits

__all__ = ["FITS", "OF_TREES", "Both", "Filled", "Layer", "fit_filled", "logits_of"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Filled(Record):
    """A logistic layer over features of which some can be missing: those are filled with their mean
    and have a further feature, 1 where the number was missing."""

    features: tuple[str, ...]
    fill: tuple[float, ...]
    flagged: tuple[int, ...]
    """Features that are sometimes missing, by number."""
    logistic: LogisticLayer

    @model_validator(mode="after")
    def _is_whole(self) -> "Filled":
        known = len(self.features)
        if len(self.fill) != known or any(not 0 <= at < known for at in self.flagged):
            raise ValueError("a layer fills each of its features, and flags no others")
        if len(self.logistic.features) != known + len(self.flagged):
            raise ValueError("a layer weighs each of its features and flags")
        return self


class Both(Record):
    """The mean of two layers' logits, over the same features."""

    logistic: Filled
    trees: Trees

    @model_validator(mode="after")
    def _read_the_same(self) -> "Both":
        if self.logistic.features != self.trees.features:
            raise ValueError("two layers that are one read the same features")
        return self

    @property
    def features(self) -> tuple[str, ...]:
        return self.trees.features


Layer = Filled | Trees | Both


def fit_filled(names: Sequence[str], features: Floats, correct: Bools, *, seed: int = 0) -> Filled:
    """Over `features`, shape (n, len(names)), with NaN where missing."""
    missing = np.isnan(features)
    known = ~missing
    total = np.where(known, features, 0.0).sum(0)
    fill = total / np.maximum(known.sum(0), 1)
    flagged = tuple(int(at) for at in np.flatnonzero(missing.any(0) & known.any(0)))
    columns = _filled(features, fill, flagged)
    wide = (*names, *(f"{names[at]}_missing" for at in flagged))
    return Filled(
        features=tuple(names),
        fill=tuple(fill.tolist()),
        flagged=flagged,
        logistic=fit_logistic(wide, columns, correct),
    )


def _filled(features: Floats, fill: Floats, flagged: Sequence[int]) -> Floats:
    missing = np.isnan(features)
    return np.hstack([np.where(missing, fill, features), missing[:, list(flagged)]])


def _fit_both(names: Sequence[str], features: Floats, correct: Bools, *, seed: int = 0) -> Both:
    return Both(
        logistic=fit_filled(names, features, correct, seed=seed),
        trees=fit_trees(names, features, correct, seed=seed),
    )


FITS: dict[str, Callable[..., Layer]] = {
    "logistic": fit_filled,
    "trees": fit_trees,
    "both": _fit_both,
}
"""How each kind of layer is fitted: (names, features, correct, seed=)."""
OF_TREES = frozenset({"trees", "both"})


def logits_of(layer: Layer, features: Floats) -> Floats:
    """Logits, shape (n,), of features, shape (n, len(layer.features)), NaN where missing."""
    if isinstance(layer, Both):
        return (logits_of(layer.logistic, features) + logits_of(layer.trees, features)) / 2.0
    if isinstance(layer, Trees):
        return trees_logits(layer, features)
    filled = _filled(features, np.array(layer.fill), layer.flagged)
    return layer_logits(layer.logistic, filled)
