"""How a backend's figures become one raw score on the logit scale, by method.

| method | score |
|---|---|
| `query`, `zero-shot` | z = logit(yes) - logit(no) of the query, with / without adapter |
| `likelihood` | logit of the probability of the whole answer |
| `perplexity` | logit of the geometric mean of its tokens' probabilities |
| `hybrid` | a logistic layer over z, the likelihood features and, where it has one, its prior |
| `probe`, `lora_probe` | yes - no of an MLP on the hidden state, without / with adapter |

To add a method, write a class with `wants` and `logits` and name it in `METHODS`. Those that
work on text are in `asking`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.adapters import LogisticLayer, Manifest, ProbeHead, load_probe
from ct_guard.adapters.layer import layer_logits
from ct_guard.backends import ScoreBatch, Want
from ct_guard.errors import ManifestError, MismatchError

from .question_prior import QuestionPrior, load_question_prior

__all__ = [
    "FEATURES",
    "METHODS",
    "PRIOR_FEATURES",
    "HybridMethod",
    "Maker",
    "Method",
    "features",
]

FloatArray = NDArray[np.float64]

LABELS: frozenset[Want] = frozenset({"labels"})
LOGPROBS: frozenset[Want] = frozenset({"answer_logprobs"})
HIDDEN: frozenset[Want] = frozenset({"hidden"})


class Method(Protocol):
    """Turns what it `wants` of a backend into raw logits, float64 [B]."""

    @property
    def wants(self) -> frozenset[Want]: ...

    def logits(self, batch: ScoreBatch, questions: Sequence[str]) -> FloatArray:
        """`questions`: the text of what was asked, for each of the B items."""
        ...


@dataclass(frozen=True)
class QueryMethod:
    """z_yes - z_no."""

    wants: frozenset[Want] = LABELS

    def logits(self, batch: ScoreBatch, questions: Sequence[str]) -> FloatArray:
        return _margin(batch)


@dataclass(frozen=True)
class LikelihoodMethod:
    """Probability of the answer under the base model; `mean` per token instead of in total."""

    mean: bool = False
    wants: frozenset[Want] = LOGPROBS

    def logits(self, batch: ScoreBatch, questions: Sequence[str]) -> FloatArray:
        total, mean = _log_likelihoods(batch)
        return _logit_of_log(mean if self.mean else total)


@dataclass(frozen=True)
class HybridMethod:
    """The fitted layer over those of `FEATURES` and `PRIOR_FEATURES` that it names."""

    layer: LogisticLayer
    prior: QuestionPrior | None = None
    wants: frozenset[Want] = LABELS | LOGPROBS

    def logits(self, batch: ScoreBatch, questions: Sequence[str]) -> FloatArray:
        prior = None if self.prior is None else self.prior.logits(questions)
        return layer_logits(self.layer, features(batch, self.layer.features, prior))


@dataclass(frozen=True)
class ProbeMethod:
    """z_yes - z_no of the head; the adapter, where there is one, is in the hidden state."""

    head: ProbeHead
    wants: frozenset[Want] = HIDDEN

    def logits(self, batch: ScoreBatch, questions: Sequence[str]) -> FloatArray:
        if batch.hidden is None:
            raise ValueError("the backend was not asked for hidden states")
        if batch.hidden.shape[1] != self.head.inputs:
            raise MismatchError(
                f"the probe reads hidden states of size {self.head.inputs}, this base model has"
                f" {batch.hidden.shape[1]}: give the base that it was trained on"
            )
        pairs = self.head.logits(batch.hidden).astype(np.float64)
        return np.asarray(pairs[:, 1] - pairs[:, 0])


FEATURES = ("z", "log_p", "mean_log_p", "worst_log_p", "z_log_p", "p", "z_p", "yes", "yes_p")
"""z of the query; log-probability of the answer, in total, per token and of its least likely token;
the product of the first two; the answer's probability, and its product with z: what the query says
of an answer that the model believes; the query's probability of yes, and its product with p. The
last two keep a very sure query from outvoting everything else."""

PRIOR_FEATURES = ("prior", "prior_log_p", "prior_p", "prior_yes", "prior_yes_p")
"""The question prior's logit, and what of `FEATURES` depends on z with this logit in its place."""


def features(
    batch: ScoreBatch, names: Sequence[str] = FEATURES, prior: FloatArray | None = None
) -> FloatArray:
    """[B, len(names)], names of `FEATURES` and, with the question prior's logits [B], of
    `PRIOR_FEATURES`."""
    z = _margin(batch)
    total, mean = _log_likelihoods(batch)
    worst = np.array([float(row.min()) for row in batch.answer_logprobs or []])
    p, yes = np.exp(total), expit(z)
    columns = (z, total, mean, worst, z * total, p, z * p, yes, yes * p)
    known = dict(zip(FEATURES, columns, strict=True))
    if prior is not None:
        says = expit(prior)
        more = (prior, prior * total, prior * p, says, says * p)
        known |= dict(zip(PRIOR_FEATURES, more, strict=True))
    return np.stack([known[name] for name in names], axis=1)


def _margin(batch: ScoreBatch) -> FloatArray:
    if batch.label_logits is None:
        raise ValueError("the backend was not asked for label logits")
    pairs = batch.label_logits.astype(np.float64)
    return np.asarray(pairs[:, 1] - pairs[:, 0])


def _log_likelihoods(batch: ScoreBatch) -> tuple[FloatArray, FloatArray]:
    if batch.answer_logprobs is None:
        raise ValueError("the backend was not asked for answer log-probabilities")
    rows = [row.astype(np.float64) for row in batch.answer_logprobs]
    return np.array([row.sum() for row in rows]), np.array([row.mean() for row in rows])


def _logit_of_log(log_p: FloatArray) -> FloatArray:
    """logit(exp(log_p)) without leaving the log scale; certain answers stop at 1 - 1e-12."""
    capped = np.minimum(log_p, np.log1p(-1e-12))
    return np.asarray(capped - np.log(-np.expm1(capped)))


Made = TypeVar("Made", covariant=True)


class Maker(Protocol[Made]):
    """Makes a method from an estimator's manifest and, where files belong to it, its directory."""

    def __call__(self, manifest: Manifest, folder: Path | None = None, /) -> Made: ...


def _probe(manifest: Manifest, folder: Path | None = None) -> Method:
    if manifest.probe is None or folder is None:
        raise ManifestError(f"this {manifest.method} estimator names no head: make it again")
    return ProbeMethod(load_probe(folder / manifest.probe))


def _hybrid(manifest: Manifest, folder: Path | None = None) -> Method:
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


METHODS: dict[str, Maker[Method]] = {
    "query": lambda manifest, folder=None: QueryMethod(),
    "zero-shot": lambda manifest, folder=None: QueryMethod(),
    "likelihood": lambda manifest, folder=None: LikelihoodMethod(),
    "perplexity": lambda manifest, folder=None: LikelihoodMethod(mean=True),
    "hybrid": _hybrid,
    "probe": _probe,
    "lora_probe": _probe,
}
