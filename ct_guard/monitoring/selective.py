"""Are more than alpha of the answers above the threshold wrong? A test with labels.

Each answer above the threshold whose outcome is known is a bet of "more than alpha are wrong": on a
wrong answer its stake is multiplied by 1 + lambda (1 - alpha), on a right one by 1 - lambda alpha,
with 0 < lambda < 1 / alpha. While at most alpha are wrong, whatever the answers before, no such bet
has an expected gain: the capital process of Waudby-Smith & Ramdas 2024 ("Estimating means of
bounded random variables by betting", JRSS B), with their mixture over several lambda ("dKelly").
For labels that are 0 or 1, lambda = (r - alpha) / (alpha (1 - alpha)) makes the
capital the likelihood ratio of the error rate r against alpha.
"""

import numpy as np
from numpy.typing import NDArray

from ct_guard.records import Record

from .betting import Bets

__all__ = ["RiskTest", "latest"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SPREAD = 400
_ODDS = np.array([1.6, 2.3, 4.0])
"""How many times the odds of alpha are bet on."""
_SHARES = np.array([0.2, 0.6, 0.2])
"""Of the money, on each. (`python -m benchmarks.monitoring`: an error rate that doubles after 500
quiet outcomes is found within 500 further ones in nine of ten streams, also at alpha = 0.05.)"""


def latest(wrong: Bools, alpha: float) -> int:
    """How many of the last of n answers, shape (n,), tell most against a rate of alpha: about
    those since the rate rose, for people to read. At least 1."""
    odds = _ODDS[1] * alpha / (1 - alpha)
    rate = odds / (1 + odds)
    factors = np.where(wrong, np.log(rate / alpha), np.log((1 - rate) / (1 - alpha)))
    return int(np.argmax(np.cumsum(factors[::-1]))) + 1


class RiskTest(Record):
    """What is known of one test of the error rate among the answered."""

    alpha: float
    bets: Bets = Bets()
    errors: int = 0
    """Of `bets.seen` answers above the threshold."""
    last: int = 0
    """Number of the last outcome that it has looked at, also of answers below the threshold."""

    def observe(self, wrong: Bools, *, goal: float) -> "tuple[Floats, RiskTest]":
        """Settle the bets on n further answers above the threshold, shape (n,), in the order in
        which their outcomes became known; `goal` is the log wealth at which the test rejects.

        Returns:
            The log wealth after each, shape (n,), and the test after them.
        """
        odds = _ODDS * self.alpha / (1 - self.alpha)
        rates = odds / (1 + odds)
        highest = rates / self.alpha
        factors = np.where(wrong[:, None], highest, (1 - rates) / (1 - self.alpha))
        wealth = self.bets.settle_frugally(
            factors, highest, spread=SPREAD, shares=_SHARES, goal=goal
        )
        errors = self.errors + int(np.count_nonzero(wrong))
        return wealth.log, self.model_copy(update={"bets": wealth.bets, "errors": errors})
