"""What is read in one call and what comes out of it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import NonFiniteScoreError

if TYPE_CHECKING:
    from .context import Slot

__all__ = ["EVERY_LOGIT", "Reading", "Row", "token_logprobs"]

EVERY_LOGIT = slice(None)
_BLOCK = 1 << 16
"""Logits in one step of the softmax: they stay in the processor's cache."""


def _none() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Row:
    """Tokens to append to one sequence, and what is wanted of them."""

    slot: "Slot"
    ids: NDArray[np.int64]
    at: NDArray[np.int64] = field(default_factory=_none)
    """Offsets into `ids`, ascending; one may stand there several times."""
    targets: NDArray[np.int64] = field(default_factory=_none)
    """For each offset, the token whose log-probability behind it is wanted."""
    pick: NDArray[np.int64] | slice | None = None
    """Entries of the logits behind the last token."""


@dataclass
class Reading:
    """What a row gave; None for what was not wanted."""

    logprobs: NDArray[np.float32]
    """[targets], natural log."""
    logits: NDArray[np.float32] | None = None
    """[picked]."""
    hidden: NDArray[np.float32] | None = None
    """[d], last layer, last token."""


def token_logprobs(
    logits: NDArray[np.float32], places: NDArray[np.int64], targets: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Log-probabilities [n] of `targets` [n] in the rows `places` [n] (ascending, without gaps) of
    `logits` [m, V]. Raises NonFiniteScoreError."""
    low, high = int(places[0]), int(places[-1]) + 1
    normalisers = np.empty(high - low, np.float32)
    step = max(1, _BLOCK // logits.shape[1])
    for start in range(low, high, step):
        block = logits[start : min(start + step, high)]
        highest = block.max(axis=1)
        total = np.exp(block - highest[:, None]).sum(axis=1)
        normalisers[start - low : start - low + len(block)] = highest + np.log(total)
    chosen: NDArray[np.float32] = logits[places, targets] - normalisers[places - low]
    if not np.isfinite(chosen).all():
        raise NonFiniteScoreError("the model returned NaN or infinite log-probabilities")
    return chosen
