"""What somebody has already, beside an estimator: a column of confidences, scores or marks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ct_guard.errors import InputError
from ct_guard.metrics import Interval

from .figures import METRICS, Figure, Floats, differences, evaluate
from .scored import NONE, Scored

__all__ = ["BESIDE", "Beside", "Pair", "beside", "left_out"]

BESIDE = ("AUROC", "ECE", "log loss", "coverage at 10% risk")
"""What is compared."""
RANKED = ("AUROC", "coverage at 10% risk")
"""What only the order of the values decides."""
_WORDS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Pair:
    """One figure of both, each with its 95% interval over questions."""

    name: str
    ours: Interval
    theirs: Interval
    """The column's; its value is None where it has no such figure, and `note` says why."""
    difference: Interval
    """Ours less theirs, in pairs: an interval that excludes 0 says that they differ."""
    better: str
    note: str = ""


@dataclass(frozen=True)
class Beside:
    """An estimator and a column, on the rows that have both."""

    estimator: str
    column: str
    rows: int
    questions: int
    pairs: list[Pair]

    def to_json(self) -> dict[str, Any]:
        return {
            "estimator": self.estimator,
            "column": self.column,
            "rows": self.rows,
            "questions": self.questions,
            "figures": {
                pair.name: {
                    "estimator": asdict(pair.ours),
                    "column": asdict(pair.theirs),
                    "difference": asdict(pair.difference),
                    "note": pair.note or None,
                }
                for pair in self.pairs
            },
        }


def beside(
    name: str, p: Floats, rows: Scored, column: str, *, resamples: int = 1000, seed: int = 0
) -> Beside:
    """An estimator's probabilities `p`, shape (n,), beside a further column of its n `rows`, on
    those rows that have a number there.

    Numbers from 0 to 1 (and percentages, with their sign) are taken for probabilities. Where one
    lies outside, the column is no probability: it has the figures of its order alone.

    Raises InputError for a value that is no number, naming its row, and where no row has one.
    """
    values = _numbers(rows, column)
    has = ~np.isnan(values)
    if not has.any():
        raise InputError(f"{rows.path}: no row has a number in '{column}': check its name")
    ours, theirs = p[has], values[has]
    correct, question = rows.correct[has], rows.question[has]
    low, high = float(theirs.min()), float(theirs.max())
    is_probability = low >= 0 and high <= 1
    if not is_probability:
        order = np.unique(theirs, return_inverse=True)[1]
        theirs = order / max(int(order.max()), 1)
    again = {"resamples": resamples, "seed": seed}
    shared = BESIDE if is_probability else RANKED

    def figures(score: Floats, names: Sequence[str]) -> dict[str, Figure]:
        metrics = [metric for metric in METRICS if metric.name in names]
        found = evaluate(score, correct, question, metrics=metrics, **again)
        return {figure.name: figure for figure in found}

    known = figures(theirs, shared)
    gains = {
        figure.name: figure.interval
        for figure in differences(ours, theirs, correct, question, names=shared, **again)
    }
    none = Interval(None, None, None, 0.95)
    why = f"'{column}' runs from {low:g} to {high:g}: it is no probability, and only ranks"
    pairs = []
    for figure in figures(ours, BESIDE).values():
        other = known.get(figure.name)
        pairs.append(
            Pair(
                figure.name,
                figure.interval,
                none if other is None else other.interval,
                gains.get(figure.name, none),
                figure.better,
                why if other is None else _floors(name, figure, column, other),
            )
        )
    return Beside(name, column, int(has.sum()), len(np.unique(question)), pairs)


def _floors(name: str, ours: Figure, column: str, theirs: Figure) -> str:
    """Of ECE: what noise alone would give."""
    if ours.noise_floor is None or theirs.noise_floor is None:
        return ""
    return (
        f"perfectly calibrated, {name} would show {ours.noise_floor:.3f}, and {column}"
        f" {theirs.noise_floor:.3f}"
    )


def _numbers(rows: Scored, column: str) -> Floats:
    """NaN where a row has none."""
    found = np.full(len(rows), np.nan)
    for at, (text, row) in enumerate(zip(rows.column(column), rows.graded, strict=True)):
        if text != NONE:
            found[at] = _number(text, row.where, column)
    found[~np.isfinite(found)] = np.nan
    return found


def _number(text: str, where: str, column: str) -> float:
    plain = text.strip().lower()
    try:
        if plain.endswith("%"):
            return float(plain[:-1]) / 100
        return _WORDS[plain] if plain in _WORDS else float(plain)
    except ValueError:
        raise InputError(
            f"{where}: field '{column}' must be a number to be compared, found {text[:40]!r}"
        ) from None


def left_out(pairs: Sequence[Beside], rows: Scored) -> list[str]:
    """Sentences about rows that a column lacks."""
    return [
        f"{len(rows) - one.rows:,} rows have no '{one.column}': they are left out beside it."
        for one in {one.column: one for one in pairs}.values()
        if one.rows < len(rows)
    ]
