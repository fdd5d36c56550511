"""How well P(correct) ranks right answers above wrong ones: no calibration needed."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ct_guard.metrics._arrays import Bools, Floats, Ints, check, check_same_length

__all__ = ["PairAccuracy", "auprc_of_errors", "auroc", "pair_accuracy", "within_auroc"]


class PairAccuracy(NamedTuple):
    """Pair accuracy, and the number of questions that it is the average of."""

    value: float | None
    """In [0, 1], 0.5 is chance; None when no question has both a right and a wrong answer."""
    questions: int


def auroc(p: ArrayLike, correct: ArrayLike) -> float | None:
    """Area under the ROC curve: P(p of a right answer > p of a wrong one), ties counting 1/2.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).

    Returns:
        A number in [0, 1]; None when all rows are right or all are wrong.

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1].

    Source: the Mann-Whitney form, Hanley & McNeil 1982.
    """
    scores, labels = check(p, correct)
    areas = _auroc_by_group(scores, labels, np.zeros(scores.size, dtype=np.intp))
    return float(areas[0]) if areas.size else None


def auprc_of_errors(p: ArrayLike, correct: ArrayLike) -> float | None:
    """Area under the precision-recall curve (average precision) of finding the *wrong* answers.

    Args:
        p: P(correct), shape (n,), in [0, 1]; a low p says "wrong".
        correct: boolean, shape (n,).

    Returns:
        A number in [0, 1], chance is the error rate; None when all rows are right or all wrong.

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1].

    Source: the definition of scikit-learn's `average_precision_score`, written out: a bootstrap
    calls it thousands of times, and most of a call there is the checking of its arguments.
    """
    scores, labels = check(p, correct)
    if labels.all() or not labels.any():
        return None
    order = np.argsort(scores, kind="stable")
    last_of_ties = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = np.cumsum(~labels[order])[last_of_ties]
    return float(np.diff(found, prepend=0) @ (found / (last_of_ties + 1)) / found[-1])


def pair_accuracy(p: ArrayLike, correct: ArrayLike, question: ArrayLike) -> PairAccuracy:
    """Does p tell a right from a wrong answer *to the same question*?

    Over the questions that have both, the share of (right, wrong) pairs with p_right > p_wrong,
    ties counting 1/2, averaged over questions. An estimator that only judges how hard the
    question is scores 0.5, however high its AUROC.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        question: shape (n,), integers or strings; equal values are answers to one question.

    Returns:
        The average and the number of questions in it.

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1].
    """
    scores, labels = check(p, correct)
    areas = _auroc_by_group(scores, labels, _codes("question", question, scores.size))
    return PairAccuracy(float(areas.mean()) if areas.size else None, areas.size)


def within_auroc(p: ArrayLike, correct: ArrayLike, group: ArrayLike) -> float | None:
    """AUROC inside each group that has both classes, averaged over these groups with equal weight.

    A table of the groups' accuracies reaches a high AUROC overall, and 0.5 here.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        group: shape (n,), integers or strings, e.g. the subject of the question.

    Returns:
        A number in [0, 1]; None when no group has both classes.

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1].
    """
    scores, labels = check(p, correct)
    areas = _auroc_by_group(scores, labels, _codes("group", group, scores.size))
    return float(areas.mean()) if areas.size else None


def _codes(name: str, group: ArrayLike, n: int) -> Ints:
    values = check_same_length(name, group, n)
    codes: Ints = np.unique(values, return_inverse=True)[1]
    return codes


def _auroc_by_group(p: Floats, correct: Bools, group: Ints) -> Floats:
    """AUROC of every group with both classes. One sort for all groups: a bootstrap over thousands
    of questions would otherwise spend its time in calls."""
    order = np.lexsort((p, group))
    p, correct, group = p[order], correct[order], group[order]
    new_group = np.r_[True, group[1:] != group[:-1]]
    new_value = new_group | np.r_[True, p[1:] != p[:-1]]

    # Mid-ranks inside the group: rows that tie share the mean of their positions.
    starts = np.flatnonzero(new_value)
    ends = np.r_[starts[1:], p.size]
    middle = ((starts + ends + 1) / 2)[np.cumsum(new_value) - 1]
    group_starts = np.flatnonzero(new_group)
    ranks = middle - group_starts[np.cumsum(new_group) - 1]

    right = np.add.reduceat(correct.astype(np.float64), group_starts)
    wrong = np.add.reduceat((~correct).astype(np.float64), group_starts)
    rank_sum = np.add.reduceat(np.where(correct, ranks, 0.0), group_starts)
    both = (right > 0) & (wrong > 0)
    right, wrong, rank_sum = right[both], wrong[both], rank_sum[both]
    areas: Floats = (rank_sum - right * (right + 1) / 2) / (right * wrong)
    return areas
