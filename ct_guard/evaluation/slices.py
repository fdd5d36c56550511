"""Figures inside the slices of a column, and their average over slices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ct_guard.metrics import Interval, auroc, bootstrap, ece, log_loss

from .figures import Bools, Floats, Ints

__all__ = ["MACRO", "SLICED", "Slice", "by_slice"]

SLICED: dict[str, Callable[[Floats, Bools], float | None]] = {
    "AUROC": auroc,
    "ECE": ece,
    "log loss": log_loss,
}
"""What is measured in each slice."""
MACRO = "macro average within slices"


@dataclass(frozen=True)
class Slice:
    """The rows with one value in a column; or, named `MACRO`, the average over these with equal
    weight, each figure over the slices that have it."""

    name: str
    rows: int
    accuracy: float
    figures: dict[str, Interval]


def by_slice(
    p: Floats,
    correct: Bools,
    question: Ints,
    values: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Slice]:
    """Each slice in the order of its name, then the macro average.

    To rank the slices is easy: a table of their accuracies does it. The average *within* them shows
    what the estimator adds to that.

    Args:
        p: P(correct), shape (n,), in [0, 1].
        correct: boolean, shape (n,).
        question: shape (n,), the clusters of the bootstrap.
        values: n values of the column.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    names, code = np.unique(np.asarray(values), return_inverse=True)
    slices = []
    for number, name in enumerate(names):
        at = code == number
        figures = {
            kind: bootstrap(
                metric, p[at], correct[at], clusters=question[at], n=resamples, seed=seed
            )
            for kind, metric in SLICED.items()
        }
        slices.append(Slice(str(name), int(at.sum()), float(correct[at].mean()), figures))
    figures = {
        kind: bootstrap(
            _within(metric), p, correct, code, clusters=question, n=resamples, seed=seed
        )
        for kind, metric in SLICED.items()
    }
    accuracy = float(np.mean([one.accuracy for one in slices]))
    return [*slices, Slice(MACRO, len(p), accuracy, figures)]


def _within(
    metric: Callable[[Floats, Bools], float | None],
) -> Callable[[Floats, Bools, Ints], float | None]:
    """The metric's mean over the slices in which it is defined."""

    def mean(p: Floats, correct: Bools, code: Ints) -> float | None:
        values = [metric(p[code == one], correct[code == one]) for one in np.unique(code)]
        defined = [value for value in values if value is not None]
        return float(np.mean(defined)) if defined else None

    return mean
