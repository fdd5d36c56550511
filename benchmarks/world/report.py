"""Figures of estimators on slices, each with its 95% interval over questions, and tables."""

import csv
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import markdown
from ct_guard.metrics import (
    Interval,
    auroc,
    bootstrap,
    coverage_at_risk,
    ece,
    log_loss,
    pair_accuracy,
    paired_bootstrap,
    within_auroc,
)
from tools.mini_world.answers import Row, question_of

from .columns import Column, Columns, Floats

__all__ = [
    "METRICS",
    "Found",
    "Slice",
    "compare",
    "main_table",
    "measure_all",
    "over_seeds",
    "slice_table",
    "write_csv",
]

RESAMPLES = 300

Numbers = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    """Rows of one part (0: test, 1: held-out) by their numbers."""

    name: str
    part: int
    rows: Sequence[Row]
    at: Numbers

    @classmethod
    def of(cls, name: str, part: int, rows: Sequence[Row], keep: Callable[[Row], bool]) -> "Slice":
        at = np.array([n for n, row in enumerate(rows) if keep(row)], dtype=np.int64)
        return cls(name, part, [rows[n] for n in at], at)

    def p(self, column: Column) -> Floats:
        return column[self.part][self.at]

    @property
    def correct(self) -> Bools:
        return np.array([row["correct"] for row in self.rows], dtype=np.bool_)

    @property
    def question(self) -> Numbers:
        return np.unique([question_of(row) for row in self.rows], return_inverse=True)[1]

    @property
    def kind(self) -> Numbers:
        return np.unique([row["kind"] for row in self.rows], return_inverse=True)[1]


Metric = Callable[[Floats, Bools, Numbers, Numbers], float | None]
"""Of P(correct), correct, kind and question."""

METRICS: Mapping[str, Metric] = {
    "AUROC": lambda p, correct, kind, question: auroc(p, correct),
    "within kinds": lambda p, correct, kind, question: within_auroc(p, correct, kind),
    "pairs": lambda p, correct, kind, question: pair_accuracy(p, correct, question).value,
    "ECE": lambda p, correct, kind, question: ece(p, correct),
    "log loss": lambda p, correct, kind, question: log_loss(p, correct),
    "coverage at 10% risk": lambda p, correct, kind, question: coverage_at_risk(p, correct, 0.1),
}

Found = dict[tuple[str, str], dict[str, Interval]]
"""By slice and estimator, by metric."""


def measure_all(columns: Columns, slices: Sequence[Slice], jobs: int) -> Found:
    tasks = [
        (part.name, name, part.p(column), part.correct, part.kind, part.question)
        for part in slices
        for name, column in columns.items()
    ]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return dict(pool.map(_measure, tasks))


def _measure(
    task: tuple[str, str, Floats, Bools, Numbers, Numbers],
) -> tuple[tuple[str, str], dict[str, Interval]]:
    part, name, p, correct, kind, question = task
    return (part, name), {
        metric: bootstrap(
            function,
            p,
            correct,
            kind,
            question,
            clusters=question,
            n=RESAMPLES,
            least=0.0 if metric == "ECE" else None,
        )
        for metric, function in METRICS.items()
    }


def main_table(found: Found, part: str, names: Sequence[str]) -> str:
    """Estimators x metrics on one slice."""
    rows = [[name, *(_with_interval(found[part, name][m]) for m in METRICS)] for name in names]
    return markdown(["estimator", *METRICS], rows)


def slice_table(
    found: Found, slices: Sequence[Slice], names: Sequence[str], metric: str, column: Column
) -> str:
    """One metric by slice, with the share of right answers and the mean P(correct) of `column`."""
    rows = []
    for part in slices:
        values = [found[part.name, name][metric].value for name in names]
        rows.append(
            [
                part.name,
                f"{len(part.rows):,}",
                f"{part.correct.mean():.2f}",
                *("-" if value is None else f"{value:.3f}" for value in values),
                f"{part.p(column).mean():.2f}",
            ]
        )
    return markdown(["slice", "rows", "right", *names, "mean P of hybrid"], rows)


def over_seeds(columns: Sequence[Column], part: Slice) -> list[str]:
    """Mean of each metric over tuning seeds, with its range."""
    correct, kind, question = part.correct, part.kind, part.question
    cells = []
    for metric in METRICS.values():
        values = [metric(part.p(column), correct, kind, question) for column in columns]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            cells.append("-")
        elif len(known) == 1:
            cells.append(f"{known[0]:.3f}")
        else:
            cells.append(f"{np.mean(known):.3f} ({min(known):.3f} to {max(known):.3f})")
    return cells


def compare(name: str, metric: str, a: Column, b: Column, part: Slice) -> list[str]:
    """One paired difference a - b, as a row."""
    found = paired_bootstrap(
        METRICS[metric],
        part.p(a),
        part.p(b),
        part.correct,
        part.kind,
        part.question,
        clusters=part.question,
        n=RESAMPLES,
    )
    return [name, _with_interval(found, signed=True)]


def write_csv(path: Path, found: Found) -> None:
    """Every figure, to be read by a program."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["slice", "estimator", "metric", "value", "low", "high"])
        for (part, name), metrics in found.items():
            for metric, interval in metrics.items():
                bounds = (interval.value, interval.low, interval.high)
                shown = ("" if bound is None else f"{bound:.4f}" for bound in bounds)
                out.writerow([part, name, metric, *shown])


def _with_interval(found: Interval, signed: bool = False) -> str:
    form = "+.3f" if signed else ".3f"
    if found.value is None:
        return "not defined"
    if found.low is None or found.high is None:
        return f"{found.value:{form}}"
    return f"{found.value:{form}} ({found.low:{form}} to {found.high:{form}})"
