"""What a call of `score` has read so far, row by row in any order."""

import numpy as np
from numpy.typing import NDArray

from .base import ScoreBatch, Want

__all__ = ["Collected"]


class Collected:
    """Room for `size` rows; `batch` is the call's result once they are read."""

    def __init__(self, size: int, labels: int) -> None:
        nothing = np.zeros(0, np.float32)
        self.label_logits = np.zeros((size, labels), np.float32)
        self.answer_logprobs: list[NDArray[np.float32]] = [nothing] * size
        self.hidden: list[NDArray[np.float32]] = [nothing] * size
        self.query_hidden: list[NDArray[np.float32]] = [nothing] * size
        self.cached_tokens = np.zeros(size, np.int32)
        self.prefilled_tokens = np.zeros(size, np.int32)

    def batch(self, want: frozenset[Want]) -> ScoreBatch:
        return ScoreBatch(
            label_logits=self.label_logits if "labels" in want else None,
            answer_logprobs=self.answer_logprobs if "answer_logprobs" in want else None,
            hidden=_stacked(self.hidden) if "hidden" in want else None,
            cached_tokens=self.cached_tokens,
            prefilled_tokens=self.prefilled_tokens,
            query_hidden=_stacked(self.query_hidden) if "query_hidden" in want else None,
        )


def _stacked(rows: list[NDArray[np.float32]]) -> NDArray[np.float32] | None:
    return np.stack(rows) if rows else None
