"""Selective prediction: what it costs and gains to answer only where P(correct) is high.

Rows with equal p cannot be told apart. A threshold takes all of them or none; where a number of
rows is asked for, their order is random and the expectation is returned. No result here depends
on the order of the rows.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ct_guard.errors import UsageError
from ct_guard.metrics._arrays import Bools, Floats, check

__all__ = [
    "RiskCoverageCurve",
    "accuracy_at_coverage",
    "augrc",
    "aurc",
    "coverage_at_risk",
    "e_aurc",
    "prr",
    "risk_coverage_curve",
]


@dataclass(frozen=True, eq=False)
class RiskCoverageCurve:
    """One point per distinct p, from the strictest threshold to the most lenient."""

    threshold: Floats
    """Answer where p >= threshold; shape (k,), descending."""
    coverage: Floats
    """Share of all rows that are answered, shape (k,), ascending, in (0, 1], the last one 1."""
    risk: Floats
    """Error rate among the answered, shape (k,), in [0, 1]; the last one is the error rate."""


def risk_coverage_curve(p: ArrayLike, correct: ArrayLike) -> RiskCoverageCurve:
    """Error rate among the answered against the share answered, over all thresholds.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1].

    Source: El-Yaniv & Wiener 2010; Geifman & El-Yaniv 2017.
    """
    scores, labels = check(p, correct)
    values, inverse, count = np.unique(scores, return_inverse=True, return_counts=True)
    wrong = np.bincount(inverse[~labels], minlength=values.size)
    answered = np.cumsum(count[::-1])
    return RiskCoverageCurve(
        threshold=values[::-1].copy(),
        coverage=answered / scores.size,
        risk=np.cumsum(wrong[::-1]) / answered,
    )


def aurc(p: ArrayLike, correct: ArrayLike) -> float:
    """Area under the risk-coverage curve: the mean, over m = 1..n, of the error rate among the m
    most confident rows.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).

    Returns:
        A number in [0, 1], lower is better; the error rate when p is constant.

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1].

    Source: Geifman, Uziel & El-Yaniv 2019.
    """
    return _aurc(_expected_errors(*check(p, correct)))


def e_aurc(p: ArrayLike, correct: ArrayLike) -> float:
    """AURC in excess of the best possible order with this error rate (all right rows first).

    Arguments and errors as `aurc`. Returns a number in [0, 1], 0 for a perfect order.
    Source: Geifman, Uziel & El-Yaniv 2019.
    """
    scores, labels = check(p, correct)
    return max(_aurc(_expected_errors(scores, labels)) - _oracle_aurc(labels), 0.0)


def augrc(p: ArrayLike, correct: ArrayLike) -> float:
    """Area under the generalized risk-coverage curve: share of rows answered *and* wrong, averaged
    over coverage.

    Unlike AURC it does not overweight the few most confident rows; with error rate e it equals
    (1 - AUROC) e (1 - e) + e^2 / 2.

    Arguments and errors as `aurc`.

    Returns:
        A number in [0, 1/2], lower is better; e / 2 when p is constant.

    Source: Traub et al. 2024 ("Overcoming common flaws in the evaluation of selective
    classification systems"), equations 5 and 6.
    """
    errors = _expected_errors(*check(p, correct))
    joint = np.concatenate(([0.0], np.cumsum(errors))) / errors.size
    return float(np.mean((joint[1:] + joint[:-1]) / 2.0))


def prr(p: ArrayLike, correct: ArrayLike) -> float | None:
    """Prediction-rejection ratio: (AUC - AUC_random) / (AUC_oracle - AUC_random), AUC the area
    under accuracy among the answered against coverage.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).

    Returns:
        1 for a perfect order, 0 for a constant p, negative when worse than random; None when all
        rows are right or all are wrong.

    Raises:
        UsageError: shapes that differ, an empty array, values outside [0, 1].

    Source: Malinin et al. 2017; in the form of Fadeeva et al. 2023 (LM-Polygraph), whose curve is
    the mean quality of what is kept.
    """
    scores, labels = check(p, correct)
    if labels.all() or not labels.any():
        return None
    random = float(np.mean(~labels))
    return (random - _aurc(_expected_errors(scores, labels))) / (random - _oracle_aurc(labels))


def accuracy_at_coverage(p: ArrayLike, correct: ArrayLike, coverage: float) -> float:
    """Expected accuracy among the ceil(coverage n) most confident rows, ties in random order.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        coverage: share of rows to answer, in (0, 1].

    Returns:
        A number in [0, 1].

    Raises:
        UsageError: shapes that differ, an empty array, values outside their range.
    """
    scores, labels = check(p, correct)
    if not 0.0 < coverage <= 1.0:
        raise UsageError(f"coverage must be in (0, 1], not {coverage}")
    # Less a hair: 0.7 * 10 is 7.000000000000001 in floats and means 7 rows.
    answered = max(1, math.ceil(coverage * scores.size - 1e-9))
    return 1.0 - float(np.mean(_expected_errors(scores, labels)[:answered]))


def coverage_at_risk(p: ArrayLike, correct: ArrayLike, risk: float) -> float:
    """The largest share of rows that some threshold answers with error rate <= `risk` on them.

    In hindsight: chosen and measured on the same rows, so optimistic as a promise about new ones.
    For a promise use `ct_guard.risk.certify`.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        risk: the error rate allowed among the answered, in [0, 1].

    Returns:
        A number in [0, 1]; 0 when no threshold does.

    Raises:
        UsageError: shapes that differ, an empty array, values outside their range.
    """
    if not 0.0 <= risk <= 1.0:
        raise UsageError(f"risk must be in [0, 1], not {risk}")
    curve = risk_coverage_curve(p, correct)
    return float(np.max(curve.coverage[curve.risk <= risk], initial=0.0))


def _expected_errors(p: Floats, correct: Bools) -> Floats:
    """P(wrong) of the rows from most to least confident, ties in random order; shape (n,)."""
    _, inverse, count = np.unique(p, return_inverse=True, return_counts=True)
    error_rate = np.bincount(inverse, weights=~correct) / count
    return np.repeat(error_rate[::-1], count[::-1])


def _aurc(errors: Floats) -> float:
    return float(np.mean(np.cumsum(errors) / np.arange(1, errors.size + 1)))


def _oracle_aurc(correct: Bools) -> float:
    return _aurc(np.sort(~correct).astype(np.float64))
