"""What each threshold does to graded answers, counted, and how far the counts are to be trusted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri  # type: ignore[import-untyped]

from ct_guard.risk.certified import GRID

__all__ = ["Band", "Tally", "band", "drawn", "tally", "thresholds_for", "wilson"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

STEPS = 1000
"""Even steps between 0 and 1."""
QUANTILES = 200
"""Further thresholds, where answers crowd."""
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Band:
    """Bounds of a share, shape (k,); NaN where there is nothing to share."""

    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts at k thresholds, ascending: answers with p >= threshold are given, the others are
    escalated."""

    thresholds: Floats
    answered: Ints
    errors: Ints
    """Wrong ones among the answered."""
    drawn_answered: Floats
    """The same counts in resamples of whole questions, shape (resamples, k)."""
    drawn_errors: Floats

    @property
    def rows(self) -> int:
        return int(self.answered[0])

    @property
    def wrong(self) -> int:
        return int(self.errors[0])

    def at(self, threshold: float) -> tuple[int, int]:
        """How many answers are given at one of the thresholds, and how many of them are wrong."""
        place = int(np.searchsorted(self.thresholds, threshold))
        return int(self.answered[place]), int(self.errors[place])

    def risk_band(self, places: NDArray[np.intp]) -> Band:
        """Of the share of wrong answers among those given, at the thresholds of these places."""
        return band(
            self.errors[places],
            self.answered[places],
            self.drawn_errors[:, places],
            self.drawn_answered[:, places],
        )


def thresholds_for(columns: Iterable[Floats], promised: Sequence[float] = ()) -> Floats:
    """Thresholds from 0 to 1 that a reader may choose from: even steps of 0.001, those that can be
    certified (`risk.certified.GRID`) and were, and some where the probabilities in these columns
    crowd, rounded down so that what is shown is what was counted."""
    chosen = [np.arange(STEPS + 1) / STEPS, GRID, np.asarray(promised, np.float64)]
    for p in columns:
        crowded = np.quantile(p, np.linspace(0, 1, QUANTILES + 1), method="lower")
        middle = (crowded > 0.001) & (crowded < 0.999)
        scale = np.where(middle, 1e4, 1e9)
        chosen.append(np.floor(crowded * scale) / scale)
    found: Floats = np.unique(np.concatenate(chosen))
    return found


def tally(
    p: Floats,
    correct: Bools,
    question: Ints,
    thresholds: Floats,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> Tally:
    """Count.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        question: shape (n,); rows with equal values are drawn together.
        thresholds: shape (k,), ascending, the first 0.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    cell = np.searchsorted(thresholds, p, side="right") - 1
    wrong = (~correct).astype(np.float64)
    answered, errors = [], []
    for weight in drawn(question, resamples=resamples, seed=seed):
        answered.append(_from(cell, weight, thresholds.size))
        errors.append(_from(cell, weight * wrong, thresholds.size))
    return Tally(
        thresholds,
        _from(cell, np.ones(p.size), thresholds.size).astype(np.int64),
        _from(cell, wrong, thresholds.size).astype(np.int64),
        np.array(answered),
        np.array(errors),
    )


def drawn(question: Ints, *, resamples: int, seed: int) -> Iterable[Floats]:
    """How often each row is drawn, shape (n,), in each resample of whole questions."""
    codes = np.unique(question, return_inverse=True)[1]
    count = int(codes.max()) + 1
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        often = np.bincount(rng.integers(0, count, count), minlength=count)
        yield often[codes].astype(np.float64)


def band(part: ArrayLike, whole: ArrayLike, drawn_part: Floats, drawn_whole: Floats) -> Band:
    """The 95% band of shares part / whole, shapes (k,), whose resamples have shape (n, k).

    Percentiles of the resamples, which keep questions together, and nowhere narrower than Wilson's
    interval: where no row of a few is wrong, no resample has a wrong one either.
    """
    tail = (1 - LEVEL) / 2
    known = np.where(drawn_whole > 0, drawn_part / np.maximum(drawn_whole, 1), np.nan)
    measured = np.isfinite(known).any(axis=0)
    low, high = np.full(measured.shape, np.nan), np.full(measured.shape, np.nan)
    low[measured], high[measured] = np.nanquantile(known[:, measured], [tail, 1 - tail], axis=0)
    alone = wilson(part, whole)
    return Band(np.fmin(low, alone.low), np.fmax(high, alone.high))


def wilson(part: ArrayLike, whole: ArrayLike) -> Band:
    """The 95% interval of shares of independent rows, shape (k,). Source: Wilson 1927."""
    k, n = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    z = float(ndtri((1 + LEVEL) / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = (k + z**2 / 2) / (n + z**2)
        half = z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
    return Band(np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1))


def _from(cell: Ints, weights: Floats, size: int) -> Floats:
    """Weights at each threshold and above it."""
    within = np.bincount(cell, weights=weights, minlength=size).astype(np.float64)
    return np.cumsum(within[::-1])[::-1]
