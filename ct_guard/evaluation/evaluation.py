"""Everything that `ct-guard evaluate` says of one or several scored files."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

import numpy as np

from ct_guard.errors import UsageError

from .beside import Beside, beside, left_out
from .compare import align
from .figures import METRICS, Figure, Floats, Metric, differences, evaluate
from .points import reliability_points, risk_coverage_points
from .question_prior import cross_fitted_prior, question_prior
from .remarks import remarks
from .scored import Scored
from .slices import Slice, by_slice

__all__ = [
    "PRIOR",
    "Difference",
    "Evaluated",
    "Evaluation",
    "Options",
    "evaluate_files",
    "names_of",
]

PRIOR = "question prior"


@dataclass(frozen=True)
class Options:
    """What is computed, and how."""

    metrics: Sequence[Metric] = METRICS
    by: str | None = None
    """Column whose slices are measured apart; the files were read with it."""
    prior: bool = True
    """Whether the question prior stands beside the estimators."""
    compare: Sequence[str] = ()
    """Columns that stand beside every estimator; the first file was read with them."""
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Evaluated:
    """One column of the table: an estimator, or the question prior."""

    name: str
    path: str | None
    p: Floats
    figures: list[Figure]
    slices: list[Slice]
    remarks: list[str]


@dataclass(frozen=True)
class Difference:
    """`one` less `other`, on the same rows."""

    one: str
    other: str
    figures: list[Figure]


@dataclass(frozen=True)
class Evaluation:
    """Estimators on the same rows, and how they differ."""

    rows: Scored
    """The rows that all files have."""
    estimators: list[Evaluated]
    prior: Evaluated | None
    differences: list[Difference]
    remarks: list[str]
    """About the whole, not one estimator."""
    comparisons: list[Beside] = field(default_factory=list)
    """Every estimator beside every column that was asked for."""

    def to_json(self) -> dict[str, Any]:
        columns = [*self.estimators, *([self.prior] if self.prior is not None else [])]
        return {
            "rows": len(self.rows),
            "questions": len(np.unique(self.rows.question)),
            "estimators": [
                {
                    "name": one.name,
                    "file": one.path,
                    "figures": _by_name(one.figures),
                    "slices": [
                        {
                            "name": part.name,
                            "rows": part.rows,
                            "accuracy": part.accuracy,
                            "figures": _by_name(part.figures.values()),
                        }
                        for part in one.slices
                    ],
                    "reliability": reliability_points(one.p, self.rows.correct),
                    "risk_coverage": risk_coverage_points(one.p, self.rows.correct),
                    "remarks": one.remarks,
                }
                for one in columns
            ],
            "differences": [
                {
                    "of": found.one,
                    "less": found.other,
                    "figures": {f.name: asdict(f.interval) for f in found.figures},
                }
                for found in self.differences
            ],
            "comparisons": [one.to_json() for one in self.comparisons],
            "remarks": self.remarks,
        }


def _by_name(figures: Iterable[Figure]) -> dict[str, dict[str, Any]]:
    return {
        one.name: {
            **asdict(one.interval), "note": one.note or None, "noise_floor": one.noise_floor,
        }
        for one in figures
    }  # fmt: skip


def evaluate_files(
    files: Sequence[Scored],
    options: Options | None = None,
    *,
    train: Scored | None = None,
    on_part: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Evaluate scored files of the same rows side by side; others are compared to the first.

    The question prior is fitted on `train` (graded rows of other questions), or else cross-fitted
    on the rows at hand; where they do not allow it, a remark says why. `on_part` is told how many
    sets of figures, each a bootstrap of its own, are done, and of how many.

    Raises:
        InputError: files without a row in common or with different grades; a column to compare
            that holds no numbers.
        UsageError: `train` shares a question with the files.
    """
    options = options or Options()
    rows = align(files) if len(files) > 1 else list(files)
    first = rows[0]
    said = [
        f"{len(whole) - len(first):,} graded rows of {whole.path} are not in every file: left out."
        for whole in files
        if len(whole) > len(first)
    ]
    again: dict[str, Any] = {"resamples": options.resamples, "seed": options.seed}
    prior_p: Floats | None = None
    if options.prior:
        try:
            prior_p = _prior(first, train)
        except _NoPrior as reason:
            said.append(f"No question prior: {reason}.")
    found: list[Difference] = []
    estimators = []
    total = 2 * len(rows) - 1 if prior_p is None else 3 * len(rows)
    total += len(rows) * len(options.compare)
    done = count(1)
    names = names_of(rows)
    for name, scored in zip(names, rows, strict=True):
        over_prior: list[Figure] = []
        if prior_p is not None:
            over_prior = differences(scored.p, prior_p, scored.correct, scored.question, **again)
            on_part(next(done), total)
        one = _evaluated(name, scored.path, scored, scored.p, options)
        on_part(next(done), total)
        estimators.append(
            Evaluated(
                name, scored.path, scored.p, one.figures, one.slices,
                remarks(scored, one.figures, over_prior),
            )
        )  # fmt: skip
        if scored is not first:
            gain = differences(scored.p, first.p, first.correct, first.question, **again)
            found.append(Difference(name, names[0], gain))
            on_part(next(done), total)
        if over_prior:
            found.append(Difference(name, PRIOR, over_prior))
    comparisons = []
    for name, scored in zip(names, rows, strict=True):
        for column in options.compare:
            comparisons.append(beside(name, scored.p, first, column, **again))
            on_part(next(done), total)
    said += left_out(comparisons, first)
    prior = None if prior_p is None else _evaluated(PRIOR, None, first, prior_p, options)
    return Evaluation(first, estimators, prior, found, said, comparisons)


def _evaluated(name: str, path: str | None, rows: Scored, p: Floats, options: Options) -> Evaluated:
    again = {"resamples": options.resamples, "seed": options.seed}
    figures = evaluate(p, rows.correct, rows.question, metrics=options.metrics, **again)
    slices = (
        by_slice(p, rows.correct, rows.question, rows.column(options.by), **again)
        if options.by is not None
        else []
    )
    return Evaluated(name, path, p, figures, slices, [])


class _NoPrior(Exception):
    """Why the rows at hand allow no question prior; never leaves this module."""


def _prior(rows: Scored, train: Scored | None) -> Floats:
    asked = [rows.asked[number] for number in rows.question]
    if train is not None:
        shared = train.question_keys() & rows.question_keys()
        if shared:
            raise UsageError(
                f"{train.path} shares {len(shared):,} questions with {rows.path}: fit the question"
                " prior on other questions, or leave it to cross-fitting"
            )
        return question_prior(
            [train.asked[number] for number in train.question], train.correct, asked
        )
    try:
        return cross_fitted_prior(asked, rows.correct, rows.question)
    except UsageError as error:
        raise _NoPrior(str(error)) from error


def names_of(rows: Sequence[Scored]) -> list[str]:
    """Each file's estimator, with the file where that does not tell them apart."""
    names = [", ".join(scored.estimators) for scored in rows]
    return [
        name if names.count(name) == 1 else f"{name} ({scored.path})"
        for name, scored in zip(names, rows, strict=True)
    ]
