"""A threshold on P(correct) with a guarantee on the error rate among the answered."""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, expit  # type: ignore[import-untyped]

from ct_guard.certificates import Certificate
from ct_guard.errors import UsageError

from .rows import Floats, Ints, check_rows

__all__ = [
    "GRID",
    "certify",
    "corrected_risk",
    "graded_alpha",
    "least_abstention",
    "least_answered",
]

GRID: Floats = np.unique(
    np.concatenate(([0.0, 1.0], np.round(expit(np.linspace(-10.0, 10.0, 401)), 6)))
)[::-1]
"""Candidate thresholds, strict to lenient: 0.05 apart in logits (at most 0.0125 in p), fine where
confident scores crowd. A finer grid covers a little more and uses delta up; a coarser one loses
coverage. Fixed here, because a grid that looks at the labels would void the guarantee."""

SECOND_SHARE = 0.1
"""Of delta, for the second start of a large sample."""

Starts = tuple[tuple[int, float], ...]


def certify(
    p: ArrayLike,
    correct: ArrayLike,
    *,
    alpha: float = 0.10,
    delta: float = 0.10,
    split_hash: str = "",
) -> Certificate:
    """The most lenient threshold t for which "error rate among answers with p >= t is at most
    alpha" is certain at level 1 - delta.

    With R(t) = P(wrong | p >= t) on new data from the same source, P(R(t) <= alpha) >= 1 - delta,
    over the draw of these rows. They must be independent of each other (one answer per question)
    and of whatever tuned and calibrated p. Nothing is promised once questions, answering model or
    grader change.

    Method: Learn-then-Test with a fixed sequence. From strict to lenient, H_t: R(t) > alpha is
    tested with p-value BinomCDF(k; n_t, alpha) for k errors among n_t answered; the first that
    cannot be rejected ends the sequence, and the last rejected one is the result. Where testing
    starts is chosen by `_starts`, without the labels. A large sample has two starts, lest bad luck
    among the few surest answers ends it all: the second has a tenth of delta, and the rest as well
    where the sequence gets there from the first (the fallback procedure).

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        alpha: error rate allowed among the answered, in (0, 1).
        delta: allowed probability that the claim is false, in (0, 1).
        split_hash: names the certification rows, kept in the certificate.

    Returns:
        The certificate. Where nothing passes, `threshold` is None and `reason` says what would
        help: there is no silent fallback.

    Raises:
        UsageError: shapes that differ, an empty sample, values outside their range.

    Source: Angelopoulos, Bates, Candes, Jordan & Lei 2021 ("Learn then Test"), section 2.3;
    Bauer 1991 for fixed sequences; Wiens & Dmitrienko 2005 for the fallback procedure.
    """
    scores, labels = check_rows(p, correct)
    least = least_answered(alpha, delta)
    n = scores.size
    answered = _count_at_least(scores, GRID)
    errors = _count_at_least(scores[~labels], GRID)

    starts = _starts(answered, least)
    chosen = _last_rejected(answered, errors, starts, alpha, delta)
    threshold = None if chosen is None else float(GRID[chosen])
    reason = _why_none(answered, errors, starts, alpha, delta) if chosen is None else ""
    return Certificate(
        alpha=alpha,
        delta=delta,
        threshold=threshold,
        n=n,
        answered=0 if chosen is None else int(answered[chosen]),
        errors=0 if chosen is None else int(errors[chosen]),
        split_hash=split_hash,
        reason=reason,
    )


def least_answered(alpha: float, delta: float) -> int:
    """The least number of answered rows that can certify anything, which then must have no errors.

    The smallest m with (1 - alpha)^m <= delta: 45 for alpha = 0.05, 22 for 0.10, 11 for 0.20, at
    delta = 0.10.

    Args:
        alpha: error rate allowed among the answered, in (0, 1).
        delta: allowed probability that the claim is false, in (0, 1).

    Raises:
        UsageError: a value outside (0, 1).
    """
    for name, value in (("alpha", alpha), ("delta", delta)):
        if not 0.0 < value < 1.0:
            raise UsageError(f"{name} must be between 0 and 1, not {value}")
    return math.ceil(math.log(delta) / math.log1p(-alpha))


def least_abstention(error_rate: float, alpha: float) -> float:
    """The least share of answers that any policy must abstain from to have an error rate of at
    most `alpha` among the rest: (error_rate - alpha) / (1 - alpha), reached by abstaining from
    wrong answers only.

    Args:
        error_rate: of all answers, in [0, 1].
        alpha: error rate allowed among the answered, in [0, 1).

    Returns:
        A share in [0, 1]; 0 where all may be answered.

    Raises:
        UsageError: a value outside its range.
    """
    if not 0.0 <= error_rate <= 1.0 or not 0.0 <= alpha < 1.0:
        raise UsageError(
            f"error_rate must be in [0, 1] and alpha in [0, 1), not {error_rate} and {alpha}"
        )
    return max(0.0, (error_rate - alpha) / (1.0 - alpha))


def corrected_risk(risk: float, grader_false_pass_rate: float) -> float:
    """An upper bound on the true error rate, where the grader passes some wrong answers.

    A grader that passes a share f of the wrong answers shows at least R (1 - f) of the true error
    rate R, hence R <= risk / (1 - f). To certify a true alpha, certify `graded_alpha`. f must hold
    among the *answered*, where wrong answers are the convincing ones.

    Args:
        risk: error rate by the grader's labels, in [0, 1].
        grader_false_pass_rate: share of wrong answers that the grader calls correct, in [0, 1).

    Returns:
        A number in [0, 1].

    Raises:
        UsageError: a value outside its range.
    """
    if not 0.0 <= risk <= 1.0 or not 0.0 <= grader_false_pass_rate < 1.0:
        raise UsageError(
            "risk must be in [0, 1] and grader_false_pass_rate in [0, 1), not "
            f"{risk} and {grader_false_pass_rate}"
        )
    return min(1.0, risk / (1.0 - grader_false_pass_rate))


def graded_alpha(alpha: float, grader_false_pass_rate: float) -> float:
    """What to certify of the grader's labels so that `alpha` holds of the truth: alpha (1 - f),
    the error rate whose `corrected_risk` is alpha.

    Args:
        alpha: true error rate allowed among the answered, in (0, 1).
        grader_false_pass_rate: share f of wrong answers that the grader calls correct, in [0, 1).

    Returns:
        A number in (0, 1).

    Raises:
        UsageError: a value outside its range.
    """
    if not 0.0 < alpha < 1.0 or not 0.0 <= grader_false_pass_rate < 1.0:
        raise UsageError(
            "alpha must be in (0, 1) and the grader's false-pass rate in [0, 1), not "
            f"{alpha} and {grader_false_pass_rate}"
        )
    return alpha * (1.0 - grader_false_pass_rate)


def _starts(answered: Ints, least: int) -> Starts:
    """Indices in GRID at which testing starts, ascending, each with its share of delta; from the
    counts alone.

    The strictest candidates answer so few rows that a single error fails them, and with them the
    whole sequence. So testing starts at the *last* candidate that answers fewer than `wanted`
    rows: a fifth of the sample, but 3 to 6 times the least number that could pass, and at most
    half the sample. (Simulated; starting lower stops by bad luck, higher starts beyond the
    thresholds that hold.) Half of a large sample is a start of its own, with a small share of
    delta: it helps scores that rank nothing, and costs those that rank well next to no coverage.

    Why a start may depend on the sample. Let h be the first violating candidate (R > alpha) at
    or after the start and before the next; the claim of this stretch fails only if h is rejected.
    Given n_h and the counts of more lenient candidates, the errors at h are Binomial(n_h, R(h)) and
    rejecting has at most the probability of the level. That the start is not after h is a matter of
    the count at h + 1: nothing new. That it is after the violating candidate g before h means that
    g + 1 answers fewer than `wanted`. Where g + 1 is h this is again nothing new; else
    R(g + 1) <= alpha < R(h), and fewer rows from the better part make errors at h more likely and
    rejection less. The cases exclude each other, so the sum over h is at most the level, whatever
    the shape of R; and the levels at which the stretches begin add up to delta.

    Where ties make the count jump from below `least` to `wanted` or more in one step, the candidate
    before the jump could not pass whatever its labels, and testing starts behind it. Only there
    the argument also asks that of two neighbouring violating candidates the stricter is no worse.
    (Enumerated over sizes and error rates of such a pair, alpha 0.05 to 0.2, delta 0.05 and 0.1,
    the claim fails with probability below delta without that as well.)
    """
    n = int(answered[-1])  # the last candidate, p >= 0, answers every row
    wanted = max(least, min(max(3 * least, min(n / 5, 6 * least)), n / 2))
    first = _last_below(answered, wanted, least)
    second = _last_below(answered, n / 2, least)
    if n / 2 < 3 * wanted or second == first:
        return ((first, 1.0),)
    return ((first, 1.0 - SECOND_SHARE), (second, SECOND_SHARE))


def _last_below(answered: Ints, wanted: float, least: int) -> int:
    """The last candidate that answers fewer than `wanted` rows, or the next if that has fewer than
    `least`."""
    last = max(int(np.count_nonzero(answered < wanted)) - 1, 0)
    return last + 1 if answered[last] < least else last


def _last_rejected(
    answered: Ints, errors: Ints, starts: Starts, alpha: float, delta: float
) -> int | None:
    """Index in GRID of the most lenient candidate that passes, or None."""
    chosen, level = None, 0.0
    for (start, share), (end, _) in pairwise((*starts, (len(GRID), 0.0))):
        level += share * delta
        passes = bdtr(errors[start:end], answered[start:end], alpha) <= level
        passed = int(np.argmin(np.append(passes, False)))  # up to the first failure
        if passed:
            chosen = start + passed - 1
        if passed < end - start:
            level = 0.0
    return chosen


def _why_none(answered: Ints, errors: Ints, starts: Starts, alpha: float, delta: float) -> str:
    n = int(answered[-1])
    least = least_answered(alpha, delta)
    if n < least:
        return (
            f"{n} rows cannot certify alpha={alpha:g} at delta={delta:g}: even without an error "
            f"{least} answered rows are needed; grade more rows or raise alpha"
        )
    said = []
    for start, share in starts:
        m, k = int(answered[start]), int(errors[start])
        passes = bdtr(np.arange(m + 1), m, alpha) <= share * delta
        said.append(
            f"p >= {GRID[start]:g} has {k} errors among {m} answered rows, and at most "
            f"{np.count_nonzero(passes) - 1} would do"
        )
    error_rate = float(errors[-1] / n)
    return (
        f"alpha={alpha:g} fails at delta={delta:g} where testing starts: {'; '.join(said)}; grade "
        f"more rows, raise alpha, or improve the ranking (with an error rate of {error_rate:.3f}, "
        f"at least {least_abstention(error_rate, alpha):.1%} of the answers must be abstained from)"
    )


def _count_at_least(values: Floats, thresholds: Floats) -> Ints:
    return values.size - np.searchsorted(np.sort(values), thresholds, side="left")
