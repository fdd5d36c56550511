"""Is the stream drawn like the certification sample? Tests without labels.

Each observation is ranked among the sample *and all of the stream before it*, ties broken at
random. While sample and stream are exchangeable these ranks are independent and uniform on (0, 1),
whatever the scores' distribution: "conformal p-values" (Vovk, Nouretdinov & Gammerman 2003,
"Testing exchangeability on-line"). What is bet against is their being so. The bets are
densities on (0, 1) that were fixed beforehand: they must not look at the sample, given which the
ranks are not uniform.

What the stream has shown joins those that later ones are ranked among. That keeps the rate exact
with a sample of any size; the price is that a change which nobody notices becomes the usual after
about as many observations as the sample has.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import ndtri  # type: ignore[import-untyped]

from ct_guard.records import Record

from .betting import Bets

__all__ = ["RankTest", "score_bets", "share_bets"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

AT_ONCE = 1024
"""Observations in one array."""
SPREAD = 200

_SHIFTS = (-1.0, -0.6, -0.35, -0.2, -0.1, 0.1, 0.2, 0.35, 0.6, 1.0)
_SCALES = (0.6, 0.8, 1.25, 1.6)
_NORMALS = np.array([(shift, 1.0) for shift in _SHIFTS] + [(0.0, scale) for scale in _SCALES])
"""Mean and standard deviation of what normal scores are bet to have become, where they had 0 and 1:
a shift of the scores by a tenth to one standard deviation, or another spread."""

_STEPS = np.array(
    [(share, times) for share in (0.003, 0.03, 0.3) for times in (0.3, 3.0)]
    + [(0.003, 10.0), (0.03, 10.0)]
)
"""A share of about so much that is so many times what it was."""


def score_bets(ranks: Floats) -> Floats:
    """Log factors, shape (n, 14), of ranks in (0, 1), shape (n,): the density of N(mean, sd) over
    that of N(0, 1), at the normal quantile of the rank. They integrate to 1 over the ranks."""
    z = ndtri(np.clip(ranks, 1e-12, 1 - 1e-12))[:, None]
    mean, sd = _NORMALS[:, 0], _NORMALS[:, 1]
    return np.asarray(z**2 / 2 - ((z - mean) / sd) ** 2 / 2 - np.log(sd))


def share_bets(ranks: Floats) -> Floats:
    """Log factors, shape (n, 8), for what happens (1) or not (0): the rank of a 1 is high. A step
    at the rank 1 - share: `times` above, and below what is left, so that they integrate to 1."""
    share, times = _STEPS[:, 0], _STEPS[:, 1]
    above = ranks[:, None] > 1 - share
    return np.log(np.where(above, times, (1 - share * times) / (1 - share)))


class RankTest(Record):
    """What is known of one test of ranks."""

    counts: tuple[int, ...]
    """Of sample and stream so far, by bin, in the bins' order."""
    bets: Bets = Bets()
    salt: int = Field(default=0, ge=0)
    """Of the random order of ties."""

    def observe(self, bins: Ints, *, shares: bool = False) -> "tuple[Floats, RankTest]":
        """Settle the bets on n further observations, shape (n,).

        Returns:
            The log wealth after each, shape (n,), and the test after them.
        """
        made, test = [], self
        for start in range(0, len(bins), AT_ONCE):
            wealth, test = test._observe(bins[start : start + AT_ONCE], shares)
            made.append(wealth)
        return np.concatenate(made) if made else np.empty(0), test

    def _observe(self, bins: Ints, shares: bool) -> "tuple[Floats, RankTest]":
        n = len(bins)
        new = np.zeros((n, len(self.counts)))
        new[np.arange(n), bins] = 1
        known = np.cumsum(new, axis=0) + np.array(self.counts)  # with the observation itself
        up_to = np.cumsum(known, axis=1)
        alike, up_to_here = known[np.arange(n), bins], up_to[np.arange(n), bins]
        order = np.random.default_rng([self.salt, self.bets.seen]).random(n)
        ranks = (up_to_here - alike * order) / up_to[:, -1]
        bets = share_bets(ranks) if shares else score_bets(ranks)
        wealth = self.bets.settle(bets, spread=SPREAD)
        counts = tuple(map(int, known[-1]))
        return wealth.log, self.model_copy(update={"counts": counts, "bets": wealth.bets})
