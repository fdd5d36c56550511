"""Certified thresholds of several groups of rows, which hold all at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ct_guard.certificates import Certificate
from ct_guard.errors import UsageError
from ct_guard.promises import GroupCertificates

from .certified import certify, least_answered
from .rows import check_rows

__all__ = ["certify_groups"]


def certify_groups(
    p: ArrayLike,
    correct: ArrayLike,
    groups: Sequence[str],
    *,
    column: str,
    alpha: float = 0.10,
    delta: float = 0.10,
    split_hash: str = "",
) -> GroupCertificates:
    """A certified threshold for each group. That all of them hold at once is certain at level
    1 - delta: Bonferroni, each group is certified (`certify`) at delta / m.

    m is the number of groups that have rows enough to pass at all at that level. It follows from
    their sizes alone, so that it is fixed before a label is seen; groups that are too small use
    none of delta up, and their certificates say how many rows would do.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        groups: the group of each row, length n.
        column: what the groups are values of.
        alpha: error rate allowed among the answered of each group, in (0, 1).
        delta: allowed probability that any of the claims is false, in (0, 1).
        split_hash: names the rows.

    Raises:
        UsageError: shapes that differ, or values outside their range.
    """
    scores, labels = check_rows(p, correct)
    of = np.array(groups, dtype=np.str_)
    if of.shape != scores.shape:
        raise UsageError(f"{scores.size} rows need a group each, not {of.size}")
    names, sizes = np.unique(of, return_counts=True)
    level = delta / _tested(np.sort(sizes)[::-1].tolist(), alpha, delta)
    found = {}
    for name, size in zip(names.tolist(), sizes.tolist(), strict=True):
        rows = of == name
        made = (
            certify(scores[rows], labels[rows], alpha=alpha, delta=level, split_hash=split_hash)
            if size >= least_answered(alpha, level)
            else _too_small(size, alpha, level, split_hash)
        )
        found[name] = made.model_copy(update={"group": name})
    return GroupCertificates(column=column, alpha=alpha, delta=delta, certificates=found)


def _tested(sizes: Sequence[int], alpha: float, delta: float) -> int:
    """The most groups, of falling sizes, that can all pass at delta by their number; at least 1."""
    able = [
        count
        for count, size in enumerate(sizes, start=1)
        if size >= least_answered(alpha, delta / count)
    ]
    return max(able, default=1)


def _too_small(size: int, alpha: float, level: float, split_hash: str) -> Certificate:
    least = least_answered(alpha, level)
    return Certificate(
        alpha=alpha, delta=level, threshold=None, n=size, answered=0, errors=0,
        split_hash=split_hash,
        reason=f"{size} rows are too few: {least} without an error would do, more with errors",
    )  # fmt: skip
