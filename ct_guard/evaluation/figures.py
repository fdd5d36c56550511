"""The figures of one estimator on one file, each with its interval."""

from collections.abc import Callable, Sequence
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
    "PAPER_ECE",
    "SMOOTH_ECE",
    "Figure",
    "Metric",
    "differences",
    "evaluate",
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


@dataclass(frozen=True)
class Metric:
    """A metric of (p, correct, question), under the name that tables and JSON give it."""

    name: str
    of: Callable[[Floats, Bools, Ints], float | None]
    better: Literal["higher", "lower", ""]


def _of_rows(metric: Callable[[Floats, Bools], float | None]) -> Callable[..., float | None]:
    return lambda p, correct, question: metric(p, correct)


def _murphy(part: str) -> Callable[..., float]:
    return lambda p, correct, question: float(getattr(murphy_decomposition(p, correct), part))


PAPER_ECE = Metric("ECE as in the paper (folded)", _of_rows(paper_folded_ece), "lower")
SMOOTH_ECE = Metric("smooth ECE", _of_rows(smooth_ece), "lower")
METRICS: tuple[Metric, ...] = (
    Metric("accuracy of the answers", _of_rows(lambda p, correct: float(np.mean(correct))), ""),
    Metric("AUROC", _of_rows(auroc), "higher"),
    Metric("AUPRC of errors", _of_rows(auprc_of_errors), "higher"),
    Metric("pair accuracy", lambda p, c, question: pair_accuracy(p, c, question).value, "higher"),
    Metric("ECE", _of_rows(ece), "lower"),
    Metric("adaptive ECE", _of_rows(adaptive_ece), "lower"),
    Metric("debiased squared calibration error", _of_rows(debiased_squared_error), "lower"),
    Metric("log loss", _of_rows(log_loss), "lower"),
    Metric("Brier score", _of_rows(brier), "lower"),
    Metric("Brier: reliability", _murphy("reliability"), "lower"),
    Metric("Brier: resolution", _murphy("resolution"), "higher"),
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
    "pair accuracy",
    "ECE",
    "log loss",
    "Brier score",
    "AURC",
    "coverage at 10% risk",
)
"""What estimators are compared in, row by row."""


def evaluate(
    p: Floats,
    correct: Bools,
    question: Ints,
    *,
    metrics: Sequence[Metric] = METRICS,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Figure]:
    """Figures with 95% bootstrap intervals over questions (rows that share a question are one
    cluster). Pair accuracy is left out where no question has a right and a wrong answer."""
    pairs = pair_accuracy(p, correct, question).questions
    notes = {
        "ECE": f"a perfectly calibrated estimator would show {ece_noise_floor(p):.3f}",
        "pair accuracy": f"{pairs:,} questions with a right and a wrong answer",
    }
    figures = []
    for metric in metrics:
        if metric.name == "pair accuracy" and not pairs:
            continue
        interval = bootstrap(
            metric.of, p, correct, question, clusters=question, n=resamples, seed=seed
        )
        figures.append(Figure(metric.name, interval, metric.better, notes.get(metric.name, "")))
    return figures


def differences(
    p: Floats,
    reference: Floats,
    correct: Bools,
    question: Ints,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Figure]:
    """The figures in `COMPARED` of `p` less those of `reference` on the same rows, with paired 95%
    bootstrap intervals over questions: one that excludes 0 says that they differ."""
    pairs = pair_accuracy(p, correct, question).questions
    return [
        Figure(
            metric.name,
            paired_bootstrap(
                metric.of, p, reference, correct, question,
                clusters=question, n=resamples, seed=seed,
            ),
            metric.better,
        )
        for metric in METRICS
        if metric.name in COMPARED and (metric.name != "pair accuracy" or pairs)
    ]  # fmt: skip
