"""Figures inside the slices of a column, and their average over slices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ct_guard.metrics import bootstrap

from .figures import METRICS, PAIRS, Bools, Figure, Floats, Ints, Metric, measure

__all__ = ["MACRO", "SLICED", "Slice", "by_slice"]

SLICED = tuple(metric for metric in METRICS if metric.name in ("AUROC", PAIRS, "ECE", "log loss"))
"""What is measured in each slice."""
MACRO = "macro average within slices"


@dataclass(frozen=True)
class Slice:
    """The rows with one value in a column; or, named `MACRO`, the average over these with equal
    weight, each figure over the slices that have it."""

    name: str
    rows: int
    accuracy: float
    figures: dict[str, Figure]
    """One for each metric in `SLICED`, by its name; not defined where the slice has none."""


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
    what the estimator adds to that. Small slices have a high ECE from noise alone, and so has their
    average: its noise floor is the average of theirs.

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
            metric.name: measure(
                metric, p[at], correct[at], question[at], resamples=resamples, seed=seed
            )
            for metric in SLICED
        }
        slices.append(Slice(str(name), int(at.sum()), float(correct[at].mean()), figures))
    macro = {}
    for metric in SLICED:
        interval = bootstrap(
            _within(metric), p, correct, question, code,
            clusters=question, n=resamples, seed=seed, least=metric.least,
        )  # fmt: skip
        floors = [one.figures[metric.name].noise_floor for one in slices]
        floor = _mean_defined(floors)
        macro[metric.name] = Figure(metric.name, interval, metric.better, noise_floor=floor)
    accuracy = float(np.mean([one.accuracy for one in slices]))
    return [*slices, Slice(MACRO, len(p), accuracy, macro)]


def _within(metric: Metric) -> Callable[[Floats, Bools, Ints, Ints], float | None]:
    """The metric's mean over the slices in which it is defined."""

    def mean(p: Floats, correct: Bools, question: Ints, code: Ints) -> float | None:
        parts = [code == one for one in np.unique(code)]
        return _mean_defined([metric.of(p[at], correct[at], question[at]) for at in parts])

    return mean


def _mean_defined(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
