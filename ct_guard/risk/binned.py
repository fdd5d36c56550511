"""P(correct) counted in fixed bins: what a certificate keeps of the scores of its sample."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit  # type: ignore[import-untyped]

__all__ = ["BIN_EDGES", "bin_of", "binned"]

BIN_EDGES: NDArray[np.float64] = expit(np.linspace(-10.0, 10.0, 81))
"""Inner edges in P(correct), a quarter apart in logits, 81 of 82 bins. Fixed here: bins that the
scores chose would spoil the exchangeability that a monitor's test rests on, and what is counted in
fixed ones is a score of its own, rounded. Of scores that spread by one logit, the rounding hides
half a percent of what they tell."""


def bin_of(p: ArrayLike) -> NDArray[np.intp]:
    """The bin of each P(correct), shape (n,), in [0, 81]."""
    return np.searchsorted(BIN_EDGES, np.asarray(p, dtype=np.float64), side="right")


def binned(p: ArrayLike) -> tuple[int, ...]:
    """How many of n P(correct), shape (n,), fall into each of the 82 bins."""
    return tuple(np.bincount(bin_of(p), minlength=BIN_EDGES.size + 1).tolist())
