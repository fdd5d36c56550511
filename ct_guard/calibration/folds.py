"""Cross-validation folds that keep all answers to one question together."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ct_guard.errors import UsageError

__all__ = ["folds_by_question"]

Ints = NDArray[np.intp]


def folds_by_question(
    correct: ArrayLike, questions: ArrayLike, *, folds: int = 5, seed: int = 0
) -> Iterator[tuple[Ints, Ints]]:
    """(rows to fit on, rows held out) of each fold; every row is held out once, no question is in
    both, and the share of right answers is about the same in all.

    Args:
        correct: boolean, shape (n,).
        questions: shape (n,), integers or strings; equal values are answers to one question.
        folds: at most this many; fewer where there are fewer questions, right or wrong answers.

    Raises:
        UsageError: fewer than two questions, right answers or wrong answers.
    """
    labels, groups = np.asarray(correct, dtype=np.bool_), np.asarray(questions)
    right = int(labels.sum())
    count = min(folds, len(np.unique(groups)), right, labels.size - right)
    if count < 2:
        raise UsageError(
            "cross-validation needs at least two questions, two right and two wrong answers:"
            " grade more rows"
        )
    from sklearn.model_selection import (  # type: ignore[import-untyped]  # loads slowly
        StratifiedGroupKFold,
    )

    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    yield from splitter.split(np.zeros(labels.size), labels, groups)
