"""Tests that may be looked at after every observation: money that is bet against "nothing changed".

While nothing changes no bet has an expected gain, so that the money, 1 at first, is a test (super)
martingale, and the probability that it *ever* reaches 1 / rate is at most `rate` (Ville 1939). What
it is worth is evidence at any time, however often one looks and whenever one stops.

Nobody knows when a change begins. So the money is not bet at once: before each observation a part
of it begins on new bets, and what is kept back waits for later ones. A change after t quiet
observations is then bet on with a share of about spread / t^2 of the money for each beginning, and
not with what the quiet time has left of the first bets: its discovery takes longer with the
logarithm of t only. It is a mixture over the times of change, as in the procedures of Shiryaev and
Roberts (see Shin, Ramdas & Rinaldo 2022, "E-detectors"), with weights that add up to 1, so that the
rate holds over the whole stream.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ct_guard.records import Record

__all__ = ["Bets", "Wealth", "limit"]

Floats = NDArray[np.float64]

_LEAST = 1e-300
"""Of a stake, so that its logarithm is finite."""


class Wealth(NamedTuple):
    """What the money is worth after each of n observations, and how the bets go on."""

    log: Floats
    """Shape (n,), in nats."""
    bets: "Bets"


class Bets(Record):
    """The bets that run, after `seen` observations."""

    seen: int = Field(default=0, ge=0)
    log: tuple[float, ...] = ()
    """What is in each kind of bet, in nats; empty before the first observation."""
    log_wealth: float = 0.0
    """What they and the reserve come to, in nats."""

    def settle(self, log_factors: Floats, *, spread: int) -> Wealth:
        """What n observations make of them.

        Args:
            log_factors: shape (n, kinds): what each kind of bet multiplies its stake by, in nats.
                The factor's expectation is at most 1 while nothing changes.
            spread: half of all money has begun after this many observations.
        """
        n, kinds = log_factors.shape
        if n == 0:
            return Wealth(np.empty(0), self)
        at = np.arange(self.seen + 1, self.seen + n + 1, dtype=np.float64)
        begins = math.log(spread / kinds) - np.log((at + spread - 1) * (at + spread))
        running = np.cumsum(log_factors, axis=0)
        before = np.vstack([np.zeros(kinds), running[:-1]])
        old = np.array(self.log) if self.log else np.full(kinds, -np.inf)
        stakes = np.vstack([old, begins[:, None] - before])
        log = np.logaddexp.accumulate(stakes, axis=0)[1:] + running
        reserve = math.log(spread) - np.log(at + spread)
        wealth = np.logaddexp(np.logaddexp.reduce(log, axis=1), reserve)
        bets = Bets(seen=self.seen + n, log=tuple(log[-1].tolist()), log_wealth=float(wealth[-1]))
        return Wealth(wealth, bets)

    def settle_frugally(
        self,
        factors: Floats,
        highest: Floats,
        *,
        spread: int,
        shares: Floats,
        goal: float,
    ) -> Wealth:
        """As `settle`, one observation after the other, and staking no more than it takes to reach
        the `goal`: where the most favourable observation would bring the money beyond it, only
        such a part of each stake is at risk that it would come to the goal just so. What a test
        does with more than it rejects at is nothing; what is not staked cannot be lost.

        Args:
            factors: shape (n, kinds): what each kind of bet multiplies its stake by.
            highest: shape (kinds,): what the most favourable observation would multiply it by.
            spread: half of all money has begun after this many observations.
            shares: shape (kinds,): what of the money that begins goes to each kind; they add to 1.
            goal: nats of wealth at which the test rejects.
        """
        parts, most = shares.tolist(), highest.tolist()  # few: numbers are faster than arrays
        stakes = [math.exp(one) for one in self.log] or [0.0] * len(parts)
        wealth, enough = np.empty(len(factors)), math.exp(goal) * (1 + 1e-9)
        for at, factor in enumerate(factors.tolist()):
            time = self.seen + at + 1
            reserve = spread / (time + spread)
            begins = reserve / (time + spread - 1)
            stakes = [one + begins * share for one, share in zip(stakes, parts, strict=True)]
            now = sum(stakes) + reserve
            more = sum(one * (top - 1) for one, top in zip(stakes, most, strict=True))
            part = 1.0 if now + more <= enough else max(0.0, (enough - now) / more)
            stakes = [
                max(one * (1 + part * (by - 1)), _LEAST)
                for one, by in zip(stakes, factor, strict=True)
            ]
            wealth[at] = math.log(sum(stakes) + reserve)
        if not len(factors):
            return Wealth(wealth, self)
        log = tuple(math.log(one) for one in stakes)
        bets = Bets(seen=self.seen + len(factors), log=log, log_wealth=float(wealth[-1]))
        return Wealth(wealth, bets)


def limit(rate: float) -> float:
    """Nats of wealth at which a test with this rate of false alarms rejects."""
    return -math.log(rate)
