"""`hybrid`: a logistic layer over the query's z, the answer's likelihood and, where it has one, a
question prior."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.backends import Backend, ScoreBatch, Want
from ct_guard.errors import ManifestError
from ct_guard.evidence.question_prior import QuestionPrior, load_question_prior
from ct_guard.store import LogisticLayer, Manifest
from ct_guard.store.layer import layer_logits

from .base import Floats, wants_of
from .likelihood import log_likelihoods
from .query import margins

__all__ = ["FEATURES", "PRIOR_FEATURES", "HybridMethod", "features", "make"]

FEATURES = ("z", "log_p", "mean_log_p", "worst_log_p", "z_log_p", "p", "z_p", "yes", "yes_p")
"""z of the query; log-probability of the answer, in total, per token and of its least likely token;
the product of the first two; the answer's probability, and its product with z: what the query says
of an answer that the model believes; the query's probability of yes, and its product with p. The
last two keep a very sure query from outvoting everything else."""

PRIOR_FEATURES = ("prior", "prior_log_p", "prior_p", "prior_yes", "prior_yes_p")
"""The question prior's logit, and what of `FEATURES` depends on z with this logit in its place."""


@dataclass(frozen=True)
class HybridMethod:
    """The fitted layer over those of `FEATURES` and `PRIOR_FEATURES` that it names."""

    layer: LogisticLayer
    prior: QuestionPrior | None = None
    wants: frozenset[Want] = wants_of("hybrid")

    def logits(self, batch: ScoreBatch, questions: Sequence[str]) -> Floats:
        prior = None if self.prior is None else self.prior.logits(questions)
        return layer_logits(self.layer, features(batch, self.layer.features, prior))


def make(manifest: Manifest, folder: Path | None, backend: Backend | None) -> HybridMethod:
    layer = manifest.layer
    if layer is None or not set(layer.features) <= {*FEATURES, *PRIOR_FEATURES}:
        raise ManifestError(
            "this hybrid estimator's layer is missing, or uses features that this version does not"
            " compute: upgrade ct-guard, or make the estimator again"
        )
    reads_prior = not set(layer.features).isdisjoint(PRIOR_FEATURES)
    if reads_prior != (manifest.prior is not None):
        raise ManifestError(
            "this hybrid estimator's layer and its question prior do not fit: make the estimator"
            " again"
        )
    if manifest.prior is None or folder is None:
        return HybridMethod(layer)
    return HybridMethod(layer, load_question_prior(folder / manifest.prior))


def features(
    batch: ScoreBatch, names: Sequence[str] = FEATURES, prior: Floats | None = None
) -> Floats:
    """[B, len(names)], names of `FEATURES` and, with the question prior's logits [B], of
    `PRIOR_FEATURES`."""
    z = margins(batch)
    total, mean, worst = log_likelihoods(batch)
    p, yes = np.exp(total), expit(z)
    columns = (z, total, mean, worst, z * total, p, z * p, yes, yes * p)
    known = dict(zip(FEATURES, columns, strict=True))
    if prior is not None:
        says = expit(prior)
        more = (prior, prior * total, prior * p, says, says * p)
        known |= dict(zip(PRIOR_FEATURES, more, strict=True))
    return np.stack([known[name] for name in names], axis=1)
