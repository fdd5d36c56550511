"""The figures of one scored file, each with its interval."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ct_guard.metrics import (
    Interval,
    accuracy_at_coverage,
    aurc,
    auroc,
    bootstrap,
    brier,
    coverage_at_risk,
    ece,
    ece_noise_floor,
    log_loss,
    pair_accuracy,
)

from .scored import Scored

__all__ = ["Figure", "evaluate", "remarks"]


@dataclass(frozen=True)
class Figure:
    """A metric's value and interval; `better` says which direction is good, if any."""

    name: str
    interval: Interval
    better: str
    note: str = ""


def evaluate(scored: Scored, *, resamples: int = 1000, seed: int = 0) -> list[Figure]:
    """All figures, with 95% bootstrap intervals over questions (rows that share a question are one
    cluster)."""
    p, correct, question = scored.p, scored.correct, scored.question

    def figure(
        name: str,
        metric: Callable[..., float | None],
        better: str,
        *more: NDArray[np.int64],
        note: str = "",
    ) -> Figure:
        interval = bootstrap(metric, p, correct, *more, clusters=question, n=resamples, seed=seed)
        return Figure(name, interval, better, note)

    floor = f"a perfectly calibrated estimator would show {ece_noise_floor(p):.3f}"
    pairs = pair_accuracy(p, correct, question)
    figures = [
        figure("accuracy of the answers", lambda p, c: float(np.mean(c)), ""),
        figure("AUROC", auroc, "higher"),
        figure("ECE", ece, "lower", note=floor),
        figure("Brier score", brier, "lower"),
        figure("log loss", log_loss, "lower"),
        figure("AURC", aurc, "lower"),
        figure("accuracy at 50% coverage", lambda p, c: accuracy_at_coverage(p, c, 0.5), "higher"),
        figure("accuracy at 80% coverage", lambda p, c: accuracy_at_coverage(p, c, 0.8), "higher"),
        figure("coverage at 10% risk", lambda p, c: coverage_at_risk(p, c, 0.1), "higher"),
    ]
    if pairs.questions:
        figures.append(
            figure(
                "pair accuracy",
                lambda p, c, q: pair_accuracy(p, c, q).value,
                "higher",
                question,
                note=f"{pairs.questions} questions with a right and a wrong answer",
            )
        )
    return figures


def remarks(scored: Scored, figures: list[Figure]) -> list[str]:
    """What a careful reader would say about the figures, in words."""
    found = {figure.name: figure.interval for figure in figures}
    said = []
    ranking = found["AUROC"]
    if ranking.value is None:
        said.append("All graded rows are alike: AUROC is not defined.")
    elif ranking.low is not None and ranking.low <= 0.5:
        said.append("AUROC is not above chance (its interval includes 0.5).")
    pairs = found.get("pair accuracy")
    if pairs is not None and pairs.low is not None and pairs.low <= 0.5:
        said.append(
            "The estimator cannot tell a right from a wrong answer to the same question here"
            " (pair accuracy includes 0.5): it judges the question."
        )
    others = ", ".join(f"{n:,} {name}" for name, n in scored.statuses.items() if name != "ok")
    if others:
        said.append(f"Not scored, and not in the figures: {others}.")
    if scored.ungraded:
        said.append(f"{scored.ungraded:,} scored rows have no readable grade in 'correct'.")
    if len(scored.p) < 200:
        said.append(f"Only {len(scored.p)} graded rows: the intervals are wide.")
    return said
