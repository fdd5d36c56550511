"""Conformal risk control of P(a question is answered, and wrongly)."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv  # type: ignore[import-untyped]

from ct_guard.errors import UsageError
from ct_guard.promises import AnsweredWrong

from .certified import GRID, corrected_risk
from .rows import check_rows

__all__ = ["answered_wrong_limit", "control_answered_wrong"]


def control_answered_wrong(
    p: ArrayLike, correct: ArrayLike, *, alpha: float = 0.05, split_hash: str = ""
) -> AnsweredWrong:
    """The most lenient threshold t with P(p >= t and wrong) at most alpha for a new question.

    This is a share of *all* questions, answered or not: it is not the error rate among the
    answered (`certify`), which it bounds only where all are answered. It holds in expectation over
    the draw of these rows and of the new one, which must be exchangeable; there is no delta.

    Method: the loss 1[p >= t and wrong] never grows with t and is at most 1, so that
    t = inf { t : (errors(t) + 1) / (n + 1) <= alpha } has an expected loss of at most alpha.

    Args:
        p: P(correct), shape (n,), in [0, 1]; one row a question.
        correct: boolean, shape (n,).
        alpha: share of all questions that may be answered wrongly, in (0, 1).
        split_hash: names the rows.

    Returns:
        The threshold, one of `GRID`, and its counts; None where n is too small for alpha, or too
        many wrong answers have P(correct) = 1.

    Raises:
        UsageError: shapes that differ, or values outside their range.

    Source: Angelopoulos, Bates, Fisch, Lei & Schuster 2022 ("Conformal Risk Control"), theorem 1.
    """
    scores, labels = check_rows(p, correct)
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha must be between 0 and 1, not {alpha}")
    n = scores.size
    wrong = np.sort(scores[~labels])
    errors = wrong.size - np.searchsorted(wrong, GRID, side="left")
    holds = (errors + 1) / (n + 1) <= alpha
    promise = AnsweredWrong(alpha=alpha, threshold=None, n=n, split_hash=split_hash)
    if not holds[0]:
        return promise.model_copy(update={"reason": _why_none(n, int(errors[0]), alpha)})
    chosen = int(np.count_nonzero(holds)) - 1  # errors only rise along the grid
    return promise.model_copy(
        update={
            "threshold": float(GRID[chosen]),
            "answered": int(np.count_nonzero(scores >= GRID[chosen])),
            "errors": int(errors[chosen]),
        }
    )


def answered_wrong_limit(promise: AnsweredWrong, level: float = 0.9) -> float:
    """What the promise says of the very sample that its threshold was found on: a share of all
    questions that P(answered and wrong) is at most, with probability `level` over such samples. It
    is the upper Clopper-Pearson bound, and never below the promised alpha: an average over samples
    is exceeded by about half of them.

    Raises UsageError for a promise without a threshold.
    """
    if promise.threshold is None:
        raise UsageError(f"nothing is promised: {promise.reason}")
    k, n = promise.errors, promise.n
    upper = 1.0 if k >= n else float(betaincinv(k + 1, n - k, level))
    return max(promise.alpha, corrected_risk(upper, promise.grader_false_pass))


def _why_none(n: int, errors: int, alpha: float) -> str:
    least = math.ceil(1 / alpha) - 1
    if n < least:
        return f"{n} rows are too few for alpha={alpha:g}: {least} would do; grade more rows"
    return (
        f"{errors} wrong answers among {n} rows have P(correct) = 1, so that no threshold leaves"
        " them out: calibrate the estimator, or raise alpha"
    )
