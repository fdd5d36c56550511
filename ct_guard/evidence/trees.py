"""Boosted trees as plain JSON: fitted by scikit-learn, walked by numpy, never pickled.

Source: Friedman 2001, "Greedy function approximation"; fitted by HistGradientBoostingClassifier.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ct_guard.errors import UsageError
from ct_guard.records import Record

__all__ = ["Forest", "Tree", "Trees", "boosted", "fit_trees", "trees_logits"]

Floats = NDArray[np.float64]

BLOCK = 1024
"""Rows that are walked at once, through all trees: what they touch stays in the cache."""


class Tree(Record):
    """Node i sends a row left where feature[i] <= threshold[i], or where it is missing and
    missing_left[i], else right. A leaf has left -1 and adds its value."""

    feature: tuple[int, ...] = Field(min_length=1)
    threshold: tuple[float, ...]
    missing_left: tuple[bool, ...] = ()
    """Empty: never."""
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    @model_validator(mode="after")
    def _leads_to_leaves(self) -> "Tree":
        size = len(self.feature)
        columns = (self.threshold, self.left, self.right, self.value)
        if {len(column) for column in columns} != {size} or len(self.missing_left) not in (0, size):
            raise ValueError("a tree needs one entry of each kind for every node")
        for at, (left, right) in enumerate(zip(self.left, self.right, strict=True)):
            inside = -1 <= right < size if left == -1 else at < left < size and at < right < size
            if not inside:
                raise ValueError("a node's children stand behind it in the same tree")
        return self


@dataclass(frozen=True)
class Forest:
    """Trees behind one another in flat arrays, so that all are walked at once. Leaves lead to
    themselves."""

    roots: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: Floats
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: Floats

    @classmethod
    def of(cls, trees: Sequence[Tree]) -> "Forest":
        sizes = np.array([len(tree.feature) for tree in trees], np.int64)
        roots = np.cumsum(sizes) - sizes
        offset, nodes = np.repeat(roots, sizes), np.arange(sizes.sum())

        def joined(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(tree, name) for tree in trees])

        left, right = joined("left"), joined("right")
        leaf = left == -1
        missing = [tree.missing_left or (False,) * len(tree.feature) for tree in trees]
        return cls(
            roots=roots,
            feature=joined("feature"),
            threshold=joined("threshold"),
            missing_left=np.concatenate(missing),
            left=np.where(leaf, nodes, left + offset),
            right=np.where(leaf, nodes, right + offset),
            value=joined("value"),
        )

    def values(self, features: Floats) -> Floats:
        """What all trees add up to for each row of `features` [n, F], NaN where missing: (n,)."""
        found = np.empty(len(features))
        for begin in range(0, len(features), BLOCK):
            found[begin : begin + BLOCK] = self._walked(features[begin : begin + BLOCK])
        return found

    def _walked(self, features: Floats) -> Floats:
        rows = np.arange(len(features))[:, None]
        node, before = np.tile(self.roots, (len(features), 1)), None
        some_missing = bool(np.isnan(features).any())
        while before is None or (node != before).any():
            before = node
            asked = features[rows, self.feature[node]]
            low = asked <= self.threshold[node]
            if some_missing:
                low |= np.isnan(asked) & self.missing_left[node]
            node = np.where(low, self.left[node], self.right[node])
        return np.asarray(self.value[node].sum(axis=1))


class Trees(Record):
    """logit = baseline + what each tree adds."""

    features: tuple[str, ...]
    baseline: float
    trees: tuple[Tree, ...]

    @model_validator(mode="after")
    def _know_their_features(self) -> "Trees":
        known = len(self.features)
        if any(not 0 <= at < known for tree in self.trees for at in tree.feature):
            raise ValueError("a tree asks for a feature that there is not")
        return self

    @cached_property
    def forest(self) -> Forest:
        return Forest.of(self.trees)


def fit_trees(
    names: Sequence[str], features: Floats, correct: NDArray[np.bool_], *, seed: int = 0
) -> Trees:
    """Trees over `features`, shape (n, len(names)), with NaN where missing."""
    baseline, trees = boosted(
        features,
        correct,
        learning_rate=0.06,
        max_iter=120,
        max_leaf_nodes=8,
        min_samples_leaf=max(20, len(correct) // 200),
        l2_regularization=5.0,
        random_state=seed,
    )
    return Trees(features=tuple(names), baseline=baseline, trees=trees)


def trees_logits(model: Trees, features: Floats) -> Floats:
    """Logits, shape (n,), of features, shape (n, len(model.features)), with NaN where missing."""
    if not model.trees:
        return np.full(len(features), model.baseline)
    return model.baseline + model.forest.values(features)


def boosted(
    features: Floats, correct: NDArray[np.bool_], *, missing: bool = True, **settings: Any
) -> tuple[float, tuple[Tree, ...]]:
    """(baseline, trees) of a HistGradientBoostingClassifier with these settings, which never stops
    early: its validation rows would share questions with the others. `missing`: whether features
    can be, here or later.

    Raises UsageError for a version of scikit-learn that keeps its trees in another form.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped]

    # scikit-learn bins no column without a number: a constant in its place is never split by.
    features = np.where(np.isnan(features).all(0), 0.0, features)
    model = HistGradientBoostingClassifier(early_stopping=False, **settings).fit(features, correct)
    baseline = float(np.ravel(model._baseline_prediction)[0])
    trees = tuple(_tree(one[0].nodes, missing=missing) for one in model._predictors)
    # The trees have no public form in scikit-learn: a version that keeps them otherwise is noticed.
    found = baseline + Forest.of(trees).values(features)
    if not np.allclose(found, model.decision_function(features), atol=1e-6):
        raise UsageError(
            "this version of scikit-learn keeps its trees in another form than ct-guard reads:"
            " install the version that constraints.txt names"
        )
    return baseline, trees


def _tree(nodes: NDArray[np.void], *, missing: bool) -> Tree:
    leaf = nodes["is_leaf"].astype(np.bool_)
    missing_left = nodes["missing_go_to_left"].astype(np.bool_) & ~leaf
    return Tree(
        feature=tuple(np.where(leaf, 0, nodes["feature_idx"]).tolist()),
        threshold=tuple(np.where(leaf, 0.0, _finite(nodes["num_threshold"])).tolist()),
        missing_left=tuple(missing_left.tolist()) if missing else (),
        left=tuple(np.where(leaf, -1, nodes["left"].astype(np.int64)).tolist()),
        right=tuple(np.where(leaf, -1, nodes["right"].astype(np.int64)).tolist()),
        value=tuple(nodes["value"].tolist()),
    )


def _finite(threshold: Floats) -> Floats:
    """Missing values apart, a split can be at infinity: all that is known goes left."""
    return np.nan_to_num(threshold, posinf=np.finfo(np.float64).max)
