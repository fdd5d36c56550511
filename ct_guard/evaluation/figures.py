"""The figures of one estimator on one file, each with its interval."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ct_guard.metrics import (
    Interval,
    accuracy_at_coverage,
    adaptive_ece,
    augrc,
    auprc_of_errors,
    aurc,
    auroc,
    bootstrap,
    brier,
    coverage_at_risk,
    debiased_squared_error,
    e_aurc,
    ece,
    ece_noise_floor,
    log_loss,
    murphy_decomposition,
    pair_accuracy,
    paired_bootstrap,
    paper_folded_ece,
    prr,
    smooth_ece,
)

__all__ = [
    "COMPARED",
    "METRICS",
    "PAIRS",
    "PAPER_ECE",
    "SMOOTH_ECE",
    "Figure",
    "Metric",
    "differences",
    "evaluate",
    "measure",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Figure:
    """A metric's value and interval; `better` says which direction is good, if any."""

    name: str
    interval: Interval
    better: str
    note: str = ""
    noise_floor: float | None = None
    """Of ECE only: what a perfectly calibrated estimator would show on as many rows."""


@dataclass(frozen=True)
class Metric:
    """A metric of (p, correct, question), under the name that tables and JSON give it."""

    name: str
    of: Callable[[Floats, Bools, Ints], float | None]
    better: Literal["higher", "lower", ""]
    least: float | None = None
    """Of a metric that resampling raises: the least that it can be, as `bootstrap` takes it."""


def _of_rows(metric: Callable[[Floats, Bools], float | None]) -> Callable[..., float | None]:
    return lambda p, correct, question: metric(p, correct)


def _murphy(part: str) -> Callable[..., float]:
    return lambda p, correct, question: float(getattr(murphy_decomposition(p, correct), part))


PAIRS = "pair accuracy"
PAPER_ECE = Metric("ECE as in the paper (folded)", _of_rows(paper_folded_ece), "lower", 0.0)
SMOOTH_ECE = Metric("smooth ECE", _of_rows(smooth_ece), "lower", 0.0)
METRICS: tuple[Metric, ...] = (
    Metric("accuracy of the answers", _of_rows(lambda p, correct: float(np.mean(correct))), ""),
    Metric("AUROC", _of_rows(auroc), "higher"),
    Metric("AUPRC of errors", _of_rows(auprc_of_errors), "higher"),
    Metric(PAIRS, lambda p, c, question: pair_accuracy(p, c, question).value, "higher"),
    Metric("ECE", _of_rows(ece), "lower", 0.0),
    Metric("adaptive ECE", _of_rows(adaptive_ece), "lower", 0.0),
    Metric(
        "debiased squared calibration error", _of_rows(debiased_squared_error), "lower", -math.inf
    ),
    Metric("log loss", _of_rows(log_loss), "lower"),
    Metric("Brier score", _of_rows(brier), "lower"),
    Metric("Brier: reliability", _murphy("reliability"), "lower", 0.0),
    Metric("Brier: resolution", _murphy("resolution"), "higher", 0.0),
    Metric("Brier: uncertainty", _murphy("uncertainty"), ""),
    Metric("AURC", _of_rows(aurc), "lower"),
    Metric("E-AURC", _of_rows(e_aurc), "lower"),
    Metric("AUGRC", _of_rows(augrc), "lower"),
    Metric("PRR", _of_rows(prr), "higher"),
    Metric(
        "accuracy at 50% coverage", _of_rows(partial(accuracy_at_coverage, coverage=0.5)), "higher"
    ),
    Metric(
        "accuracy at 80% coverage", _of_rows(partial(accuracy_at_coverage, coverage=0.8)), "higher"
    ),
    Metric("coverage at 10% risk", _of_rows(partial(coverage_at_risk, risk=0.1)), "higher"),
)
"""In the order in which tables show them."""
COMPARED = (
    "AUROC",
    PAIRS,
    "ECE",
    "log loss",
    "Brier score",
    "AURC",
    "coverage at 10% risk",
)
"""What estimators are compared in, row by row."""


def measure(
    metric: Metric,
    p: Floats,
    correct: Bools,
    question: Ints,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Figure:
    """One figure with its 95% bootstrap interval over questions (rows that share a question are one
    cluster)."""
    interval = bootstrap(
        metric.of, p, correct, question,
        clusters=question, n=resamples, seed=seed, least=metric.least,
    )  # fmt: skip
    note, floor = "", None
    if metric.name == "ECE":
        floor = ece_noise_floor(p)
        note = f"a perfectly calibrated estimator would show {floor:.3f}"
    elif metric.name == PAIRS:
        pairs = pair_accuracy(p, correct, question).questions
        note = f"{pairs:,} questions with a right and a wrong answer"
    return Figure(metric.name, interval, metric.better, note, floor)


def evaluate(
    p: Floats,
    correct: Bools,
    question: Ints,
    *,
    metrics: Sequence[Metric] = METRICS,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Figure]:
    """The figures as `measure` gives them. Pair accuracy is left out where no question has a right
    and a wrong answer."""
    pairs = pair_accuracy(p, correct, question).questions
    return [
        measure(metric, p, correct, question, resamples=resamples, seed=seed)
        for metric in metrics
        if metric.name != PAIRS or pairs
    ]


def differences(
    p: Floats,
    reference: Floats,
    correct: Bools,
    question: Ints,
    *,
    names: Collection[str] = COMPARED,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Figure]:
    """The figures of these `names` of `p` less those of `reference` on the same rows, with paired
    95% bootstrap intervals over questions: one that excludes 0 says that they differ."""
    pairs = pair_accuracy(p, correct, question).questions
    return [
        Figure(
            metric.name,
            paired_bootstrap(
                metric.of, p, reference, correct, question,
                clusters=question, n=resamples, seed=seed, recentre=metric.least is not None,
            ),
            metric.better,
        )
        for metric in METRICS
        if metric.name in names and (metric.name != PAIRS or pairs)
    ]  # fmt: skip
