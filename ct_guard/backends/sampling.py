"""Which token comes next: the likeliest, or one drawn by temperature and top-p."""

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import NonFiniteScoreError

__all__ = ["Sampler", "logprob_of"]


class Sampler:
    """Picks tokens. Equal seeds and equal logits give equal tokens on every backend.

    `temperature` 0 takes the likeliest token. `top_p` keeps the fewest tokens whose probabilities
    sum to it. `seed` None draws anew every time.
    """

    def __init__(self, temperature: float, top_p: float, seed: int | None) -> None:
        self._temperature, self._top_p = temperature, top_p
        self._random = np.random.default_rng(seed)

    def pick(self, logits: NDArray[np.float32]) -> tuple[int, float]:
        """A token by logits [V], and its log-probability at temperature 1. Raises
        NonFiniteScoreError when the model returned no numbers."""
        token = int(logits.argmax()) if self._temperature == 0 else self._draw(logits)
        return token, logprob_of(token, logits)

    def _draw(self, logits: NDArray[np.float32]) -> int:
        _check(highest := logits.max())
        probabilities = np.exp((logits - highest).astype(np.float64) / self._temperature)
        probabilities /= probabilities.sum()
        order = np.argsort(-probabilities, kind="stable")
        reached = np.cumsum(probabilities[order])
        if self._top_p < 1:
            reached = reached[: int(np.searchsorted(reached, self._top_p)) + 1]
        drawn = self._random.random() * reached[-1]
        at = min(int(np.searchsorted(reached, drawn, side="right")), len(reached) - 1)
        return int(order[at])


def logprob_of(token: int, logits: NDArray[np.float32]) -> float:
    """Natural-log probability of a token by logits [V], at temperature 1.

    Raises NonFiniteScoreError when the model returned no numbers.
    """
    _check(highest := logits.max())
    logprob = float(logits[token] - highest - np.log(np.exp(logits - highest).sum()))
    _check(logprob)
    return logprob


def _check(value: float) -> None:
    if not np.isfinite(value):
        raise NonFiniteScoreError("the model returned NaN or infinite log-probabilities")
