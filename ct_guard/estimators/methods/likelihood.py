"""`likelihood` and `perplexity`: the probability of the answer under the base model, of the whole
and as the geometric mean of its tokens'."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ct_guard.backends import Backend, ScoreBatch, Want
from ct_guard.store import Manifest

from .base import Floats, wants_of

__all__ = ["LikelihoodMethod", "log_likelihoods", "logit_of_log", "make"]


@dataclass(frozen=True)
class LikelihoodMethod:
    """logit P(answer | question); `mean` per token instead of in total."""

    mean: bool = False
    wants: frozenset[Want] = wants_of("likelihood")

    def logits(self, batch: ScoreBatch, questions: Sequence[str]) -> Floats:
        total, mean, _ = log_likelihoods(batch)
        return logit_of_log(mean if self.mean else total)


def make(manifest: Manifest, folder: Path | None, backend: Backend | None) -> LikelihoodMethod:
    return LikelihoodMethod(mean=manifest.method == "perplexity")


def log_likelihoods(batch: ScoreBatch) -> tuple[Floats, Floats, Floats]:
    """Log-probability (in nats) of each answer in total, per token, and of its least likely token:
    shapes (B,)."""
    if batch.answer_logprobs is None:
        raise ValueError("the backend was not asked for answer log-probabilities")
    rows = [row.astype(np.float64) for row in batch.answer_logprobs]
    total, mean, worst = (
        np.array([what(row) for row in rows]) for what in (np.sum, np.mean, np.min)
    )
    return total, mean, worst


def logit_of_log(log_p: Floats) -> Floats:
    """logit(exp(log_p)) without leaving the log scale; certain answers stop at 1 - 1e-12."""
    capped = np.minimum(log_p, np.log1p(-1e-12))
    return np.asarray(capped - np.log(-np.expm1(capped)))
