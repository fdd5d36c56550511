"""Boosted trees as plain JSON: fitted by scikit-learn, walked by numpy, never pickled.

Source: Friedman 2001, "Greedy function approximation"; fitted by HistGradientBoostingClassifier.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ct_guard.records import Record

__all__ = ["Tree", "Trees", "fit_trees", "trees_logits"]

Floats = NDArray[np.float64]

BLOCK = 8192
"""Rows that are walked at once: what they touch stays in the processor's cache."""


class Tree(Record):
    """Node i sends a row left where feature[i] <= threshold[i], or where it is missing and
    missing_left[i], else right. A leaf has left -1 and adds its value."""

    feature: tuple[int, ...] = Field(min_length=1)
    threshold: tuple[float, ...]
    missing_left: tuple[bool, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    @model_validator(mode="after")
    def _leads_to_leaves(self) -> "Tree":
        size = len(self.feature)
        columns = (self.threshold, self.missing_left, self.left, self.right, self.value)
        if {len(column) for column in columns} != {size}:
            raise ValueError("a tree needs one entry of each kind for every node")
        for at, (left, right) in enumerate(zip(self.left, self.right, strict=True)):
            inside = right == -1 if left == -1 else at < left < size and at < right < size
            if not inside:
                raise ValueError("a node's children stand behind it in the same tree")
        return self


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


def fit_trees(
    names: Sequence[str], features: Floats, correct: NDArray[np.bool_], *, seed: int = 0
) -> Trees:
    """Trees over `features`, shape (n, len(names)), with NaN where missing."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped]

    model = HistGradientBoostingClassifier(
        learning_rate=0.06,
        max_iter=120,
        max_leaf_nodes=8,
        min_samples_leaf=max(20, len(correct) // 200),
        l2_regularization=5.0,
        early_stopping=False,
        random_state=seed,
    ).fit(features, correct)
    return Trees(
        features=tuple(names),
        baseline=float(np.ravel(model._baseline_prediction)[0]),
        trees=tuple(_tree(one[0].nodes) for one in model._predictors),
    )


def _tree(nodes: NDArray[np.void]) -> Tree:
    leaf = nodes["is_leaf"].astype(np.bool_)
    return Tree(
        feature=tuple(np.where(leaf, 0, nodes["feature_idx"]).tolist()),
        threshold=tuple(np.where(leaf, 0.0, _finite(nodes["num_threshold"])).tolist()),
        missing_left=tuple(nodes["missing_go_to_left"].astype(np.bool_).tolist()),
        left=tuple(np.where(leaf, -1, nodes["left"].astype(np.int64)).tolist()),
        right=tuple(np.where(leaf, -1, nodes["right"].astype(np.int64)).tolist()),
        value=tuple(np.where(leaf, nodes["value"], 0.0).tolist()),
    )


def _finite(threshold: Floats) -> Floats:
    """Missing values apart, a split can be at infinity: all that is known goes left."""
    return np.nan_to_num(threshold, posinf=np.finfo(np.float64).max)


def trees_logits(model: Trees, features: Floats) -> Floats:
    """Logits, shape (n,), of features, shape (n, len(model.features)), with NaN where missing."""
    forest = [_arrays(tree) for tree in model.trees]
    found = np.full(len(features), model.baseline)
    for begin in range(0, len(features), BLOCK):
        block = features[begin : begin + BLOCK]
        rows, missing = np.arange(len(block)), np.isnan(block)
        for feature, threshold, missing_left, left, right, value in forest:
            node = np.zeros(len(block), np.int64)
            while (inner := np.greater_equal(left[node], 0)).any():
                asked = feature[node]
                low = np.where(
                    missing[rows, asked],
                    missing_left[node],
                    block[rows, asked] <= threshold[node],
                )
                node = np.where(inner, np.where(low, left[node], right[node]), node)
            found[begin : begin + BLOCK] += value[node]
    return found


def _arrays(tree: Tree) -> tuple[NDArray[Any], ...]:
    return (
        np.array(tree.feature), np.array(tree.threshold), np.array(tree.missing_left),
        np.array(tree.left), np.array(tree.right), np.array(tree.value),
    )  # fmt: skip
