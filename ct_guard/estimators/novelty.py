"""How unlike an answer is what the estimator was calibrated on, as a conformal p-value.

An answer's *state* is what its score is read from: the hidden state behind the query where the
query is asked, that of the answer's last token for probes, the likelihood features for the rest.
Its distance is Mahalanobis' under a low-rank Gaussian (probabilistic PCA: Tipping and Bishop 1999),
as for hidden states in Lee et al. 2018 and Ren et al. 2023. The p-value is the share of answers
held out of that Gaussian's fit that lie as far away; where the answers to a question come together,
each question counts once (hierarchical conformal prediction: Lee, Barber and Willett 2023). So for
an answer to one more question of the same kind, P(p <= a) <= a for every a, whatever the states are
like.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends import Item, ScoreBatch, Want
from ct_guard.certificates import Arithmetic
from ct_guard.errors import (
    CalibrationError,
    ManifestError,
    MismatchError,
    MissingExtraError,
    UsageError,
)
from ct_guard.records import QuestionAnswer
from ct_guard.store import Manifest

from .methods import Method, TextMethod

if TYPE_CHECKING:
    from .estimator import Estimator

__all__ = [
    "MIN_QUESTIONS",
    "Novelty",
    "fit_novelty",
    "load_novelty",
    "novelty_file",
    "novelty_for",
    "state_wants",
    "states_of",
    "states_of_rows",
]

Floats = NDArray[np.float64]

MIN_QUESTIONS = 40
"""Half of them are compared with: with fewer, no p-value could fall below 0.05."""
MAX_AXES = 64
CHUNK_ROWS = 256
ROWS_AN_AXIS = 4
"""Rows that every direction of its own takes in the fit."""


@dataclass(frozen=True, eq=False)
class Novelty:
    """A Gaussian over states of size d, with r axes of its own and one spread for all others, and
    the distances of held-out answers."""

    mean: NDArray[np.float32]
    """[d]"""
    axes: NDArray[np.float32]
    """[r, d], orthonormal."""
    spreads: Floats
    """[r]: variance along each axis, above 0."""
    rest: Floats
    """[1]: variance along every other direction, above 0."""
    distances: Floats
    """[m], ascending: of the held-out answers."""
    weights: Floats
    """[m]: of each, one over the held-out answers to its question."""

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]]) -> "Novelty":
        """From the tensors of its file. Raises MismatchError where they are not of one."""
        names = [field.name for field in fields(cls)]
        if tensors.keys() != set(names):
            raise MismatchError(f"it holds {', '.join(sorted(tensors))}, not {', '.join(names)}")
        kinds = {"mean": np.float32, "axes": np.float32}
        arrays: dict[str, Any] = {
            name: tensors[name].astype(kinds.get(name, np.float64)) for name in names
        }
        made = cls(**arrays)
        made._check()
        return made

    def p(self, states: NDArray[np.floating[Any]]) -> Floats:
        """[B] p-values in (0, 1] of `states` [B, d]: small where the calibration rows have hardly
        any that far away."""
        # Questions held out, of which so many lie as far away as each of the distances.
        above = np.concatenate([np.cumsum(self.weights[::-1])[::-1], [0.0]])
        farther = above[np.searchsorted(self.distances, self.distance(states), side="left")]
        return np.asarray((1 + farther) / (1 + above[0]))

    def distance(self, states: NDArray[np.floating[Any]]) -> Floats:
        """[B] squared distances of `states` [B, d]. Raises MismatchError for another d."""
        if states.shape[1] != self.mean.shape[0]:
            raise MismatchError(
                f"ood was fitted on states of size {self.mean.shape[0]}, these have"
                f" {states.shape[1]}: fit it again with 'ct-guard calibrate --ood'"
            )
        apart = states.astype(np.float64) - self.mean
        along = apart @ self.axes.T.astype(np.float64)
        beside = np.maximum((apart**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        return np.asarray((along**2 / self.spreads).sum(axis=1) + beside / self.rest[0])

    def _check(self) -> None:
        size, count = self.mean.shape, self.distances.shape
        if (
            self.mean.ndim != 1
            or self.axes.ndim != 2
            or self.axes.shape[1:] != size
            or self.spreads.shape != self.axes.shape[:1]
            or self.rest.shape != (1,)
            or self.distances.ndim != 1
            or self.weights.shape != count
            or not count[0]
        ):
            raise MismatchError("its tensors do not fit each other")
        if not all(np.isfinite(getattr(self, field.name)).all() for field in fields(self)):
            raise MismatchError("it holds NaN or infinite numbers")
        if min(self.spreads.min(initial=1), self.rest[0], self.weights.min()) <= 0:
            raise MismatchError("its spreads and weights must be above 0")
        if (np.diff(self.distances) < 0).any() or self.weights.max() > 1:
            raise MismatchError("its distances must ascend, and its weights be at most 1")


def fit_novelty(
    states: NDArray[np.floating[Any]], questions: Sequence[str], *, seed: int = 0
) -> Novelty:
    """Fitted on the n calibration rows: the Gaussian on those of half of the questions, drawn with
    `seed`; the others are the answers to compare with.

    Args:
        states: [n, d], see `states_of`.
        questions: what was asked, or its key, for each row.

    Raises:
        CalibrationError: fewer than `MIN_QUESTIONS` questions, or states that are all the same.
    """
    keys, number = np.unique(np.asarray(questions, dtype=object), return_inverse=True)
    if len(keys) < MIN_QUESTIONS:
        raise CalibrationError(
            f"ood needs at least {MIN_QUESTIONS} questions to be compared with, these rows have"
            f" {len(keys)}: give more of them"
        )
    order = np.random.default_rng(seed).permutation(len(keys))
    shaping = np.isin(number, order[: len(keys) // 2])
    mean, axes, spreads, rest = _gaussian(states[shaping].astype(np.float64))
    of_question = np.bincount(number[~shaping], minlength=len(keys))
    weights = 1 / of_question[number[~shaping]]
    blank = Novelty(mean, axes, spreads, rest, np.zeros(1), np.ones(1))
    distances = blank.distance(states[~shaping])
    by_distance = np.argsort(distances, kind="stable")
    return Novelty(mean, axes, spreads, rest, distances[by_distance], weights[by_distance])


def state_wants(method: Method) -> frozenset[Want]:
    """What a backend has to give for the states of a method."""
    if "labels" in method.wants:
        return frozenset({"labels", "query_hidden"})
    return frozenset({"hidden"}) if "hidden" in method.wants else method.wants


def states_of(method: Method, batch: ScoreBatch) -> NDArray[np.floating[Any]]:
    """[B, d]: the states of a batch that was asked for `state_wants`."""
    if "labels" in method.wants or "hidden" in method.wants:
        states = batch.query_hidden if "labels" in method.wants else batch.hidden
        if states is None:
            raise ValueError("the backend was not asked for hidden states")
        return states
    rows = [row.astype(np.float64) for row in batch.answer_logprobs or []]
    return np.array(
        [(row.sum(), row.mean(), row.min(), np.log(len(row))) for row in rows], np.float64
    ).reshape(len(rows), 4)


def states_of_rows(
    estimator: "Estimator",
    items: Sequence[QuestionAnswer],
    *,
    on_rows: Callable[[int], None] = lambda done: None,
) -> NDArray[np.floating[Any]]:
    """[n, d]: what the estimator's score of each answer is read from.

    Args:
        estimator: that scores them.
        items: answers that it does not decide on without the model, such as refusals.
        on_rows: called with the number of rows that were just read.

    Raises:
        UsageError: the estimator works on text, or its backend gives no hidden states.
        BackendError: a row cannot be read.
    """
    method = estimator.method
    if isinstance(method, TextMethod):
        raise UsageError(f"{estimator.name} works on text: ood is not measured by its method")
    backend = estimator.engine
    if not backend.capabilities.hidden_states:
        raise UsageError(f"the backend {backend.name} gives no hidden states to measure ood by")
    made = [estimator.render(item) for item in items]
    parts = []
    for start in range(0, len(made), CHUNK_ROWS):
        rows = [Item(one.context, one.answer) for one in made[start : start + CHUNK_ROWS]]
        batch = backend.score(rows, estimator.asked, estimator.adapter, state_wants(method))
        parts.append(states_of(method, batch))
        on_rows(len(rows))
    return np.concatenate(parts)


def novelty_file(novelty: Novelty) -> tuple[str, bytes]:
    """Name and content of its file, in an estimator's directory."""
    from safetensors.numpy import save

    names = [field.name for field in fields(novelty)]
    tensors = {name: np.ascontiguousarray(getattr(novelty, name)) for name in names}
    content = bytes(save(tensors))
    return f"novelty-{hashlib.sha256(content).hexdigest()[:8]}.safetensors", content


def novelty_for(manifest: Manifest, folder: Path, here: Arithmetic) -> Novelty | None:
    """What answers of the estimator in `folder` are compared with, where states are computed as
    they are `here`; None where it measures no ood, or was fitted on others."""
    if manifest.novelty is None or manifest.novelty_by is None:
        return None
    return load_novelty(folder / manifest.novelty) if manifest.novelty_by.same_as(here) else None


def load_novelty(path: Path) -> Novelty:
    """What a safetensors file holds. Raises ManifestError, in one line, where that is none."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ModuleNotFoundError as error:
        raise MissingExtraError("ood", "torch") from error
    try:
        return Novelty.of(load_file(path))
    except (SafetensorError, OSError, TypeError, ValueError, KeyError, MismatchError) as error:
        raise ManifestError(f"{path} is no file of ood: {error}") from error


def _gaussian(
    states: Floats,
) -> tuple[NDArray[np.float32], NDArray[np.float32], Floats, Floats]:
    """Mean, axes, their variances and the mean variance of what they leave, of `states` [n, d]."""
    n, size = states.shape
    mean = states.mean(axis=0).astype(np.float32)
    _, singular, axes = np.linalg.svd(states - mean, full_matrices=False)
    variances = singular**2 / max(n - 1, 1)
    if not variances.sum() > 0:
        raise CalibrationError("ood cannot be fitted: the states of all rows are the same")
    few = n // ROWS_AN_AXIS
    kept = int(min(MAX_AXES, max(few, 1), (variances > 1e-9 * variances[0]).sum()))
    left = variances[kept:].sum() / max(size - kept, 1)
    rest = left if left > 1e-9 * variances[0] else variances[kept - 1]
    return mean, axes[:kept].astype(np.float32), variances[:kept], np.array([rest])
