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

__all__ = ["RiskTest"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SPREAD = 50
_ODDS = np.array([1.5, 2.25, 4.0])
"""How many times the odds of alpha are bet on."""


class RiskTest(Record):
    """What is known of one test of the error rate among the answered."""

    alpha: float
    bets: Bets = Bets()
    errors: int = 0
    """Of `bets.seen` answers above the threshold."""
    last: int = 0
    """Number of the last outcome that it has looked at, also of answers below the threshold."""

    def observe(self, wrong: Bools) -> "tuple[Floats, RiskTest]":
        """Settle the bets on n further answers above the threshold, shape (n,), in the order in
        which their outcomes became known.

        Returns:
            The log wealth after each, shape (n,), and the test after them.
        """
        odds = _ODDS * self.alpha / (1 - self.alpha)
        rates = odds / (1 + odds)
        factors = np.where(
            wrong[:, None], np.log(rates / self.alpha), np.log((1 - rates) / (1 - self.alpha))
        )
        wealth = self.bets.settle(factors, spread=SPREAD)
        errors = self.errors + int(np.count_nonzero(wrong))
        return wealth.log, self.model_copy(update={"bets": wealth.bets, "errors": errors})
