"""A threshold on the P of fields with a guarantee on the error rate among those that are filled in
without review, where the fields of one answer go together."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ct_guard.errors import UsageError
from ct_guard.promises import FieldCertificate

from .certified import GRID
from .rows import Floats, check_rows

__all__ = ["certify_fields"]

BETS = 0.95 * 0.5 ** np.arange(4)
"""Shares of the largest bet that a test mixes, each with the same weight."""
STARTS_AT = 0.2
"""Share of the fields that the strictest threshold to be tested fills in, at least."""


def certify_fields(
    p: ArrayLike,
    correct: ArrayLike,
    answer: ArrayLike,
    *,
    alpha: float = 0.02,
    delta: float = 0.10,
    split_hash: str = "",
) -> FieldCertificate:
    """The most lenient threshold t for which "of the fields with p >= t at most alpha are wrong" is
    certain at level 1 - delta.

    With E[wrong fields at or above t] / E[fields at or above t] = R(t) over new answers from the
    same source, P(R(t) <= alpha) >= 1 - delta, over the draw of these answers. They must be
    independent of each other; **their fields need not be**, nor of a fixed number.

    Method: Learn-then-Test with a fixed sequence from strict to lenient (see `risk.certify`), but
    the test is of answers. With s = alpha * filled - wrong in one answer, R(t) > alpha says that
    E[s] < 0. The product of 1 + bet * s over answers, for a bet at which no factor can fall below
    0, then has an expectation of at most 1, and so has its mean over several bets: it reaches
    1 / delta with probability at most delta (Markov). The most fields of an answer in the sample
    are taken for the most that there can be.

    Args:
        p: P of each field, shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        answer: number of the answer that each field is of, shape (n,).
        alpha: error rate allowed among the fields that are filled in, in (0, 1).
        delta: allowed probability that the claim is false, in (0, 1).
        split_hash: names the answers.

    Returns:
        The certificate. Where nothing passes, `threshold` is None and `reason` says why.

    Raises:
        UsageError: shapes that differ, an empty sample, values outside their range.

    Source: Waudby-Smith & Ramdas 2024 ("Estimating means of bounded random variables by betting"),
    section 4; Angelopoulos et al. 2021 ("Learn then Test"), section 2.3.
    """
    scores, labels = check_rows(p, correct)
    _, number = np.unique(np.asarray(answer), return_inverse=True)
    if number.shape != scores.shape:
        raise UsageError("every field needs the number of its answer")
    for name, value in (("alpha", alpha), ("delta", delta)):
        if not 0.0 < value < 1.0:
            raise UsageError(f"{name} must be between 0 and 1, not {value}")
    most = int(np.bincount(number).max())
    found = FieldCertificate(
        alpha=alpha,
        delta=delta,
        threshold=None,
        n=int(number.max()) + 1,
        fields=scores.size,
        split_hash=split_hash,
    )
    for threshold in GRID:
        filled = scores >= threshold
        if np.count_nonzero(filled) < STARTS_AT * scores.size:
            continue
        if _log_evidence(_gains(filled, labels, number, alpha), most, alpha) < -math.log(delta):
            if found.threshold is None:
                return found.model_copy(update={"reason": _why_none(filled, labels, found, most)})
            break
        update = {
            "threshold": float(threshold),
            "filled": int(np.count_nonzero(filled)),
            "errors": int(np.count_nonzero(filled & ~labels)),
        }
        found = found.model_copy(update=update)
    return found


def _gains(
    filled: NDArray[np.bool_], labels: NDArray[np.bool_], number: NDArray[np.intp], alpha: float
) -> Floats:
    """s of each answer, shape (answers,)."""
    weights = np.where(filled, np.where(labels, alpha, alpha - 1.0), 0.0)
    return np.asarray(np.bincount(number, weights=weights), np.float64)


def _log_evidence(gains: Floats, most: int, alpha: float) -> float:
    """In nats, against an error rate above alpha."""
    bets = BETS / ((1.0 - alpha) * most)
    logs = np.log1p(bets[:, None] * gains[None, :]).sum(axis=1)
    return float(np.logaddexp.reduce(logs) - math.log(len(bets)))


def _why_none(
    filled: NDArray[np.bool_], labels: NDArray[np.bool_], found: FieldCertificate, most: int
) -> str:
    errors, count = int(np.count_nonzero(filled & ~labels)), int(np.count_nonzero(filled))
    each = count / found.n
    gain = math.log1p(BETS[0] * found.alpha * each / ((1 - found.alpha) * most))
    least = math.ceil((math.log(len(BETS)) - math.log(found.delta)) / gain)
    return (
        f"the strictest threshold tested has {errors:,} errors among {count:,} fields of"
        f" {found.n:,} answers; without any error about {least:,} answers would certify"
        f" alpha={found.alpha:g} at delta={found.delta:g}: grade more, raise alpha, or improve the"
        " ranking"
    )
