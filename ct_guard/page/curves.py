"""The points of a page's diagrams, of the counts at its thresholds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.metrics import reliability_curve

from .tally import Bools, Floats, Tally, band

__all__ = ["BINS", "reliability", "risk_coverage", "roc", "top_of_risk"]

BINS = 10
MOST = 200
"""Points of a curve."""

NOISE = 0.05
"""Coverage below which a risk is not worth room for its band."""

Points = list[dict[str, Any]]


def reliability(p: Floats, correct: Bools, counts: Tally) -> Points:
    """The bins that are not empty, ascending: `from` and `to`, `mean_p`, the share of right answers
    `accuracy` with its band `low` to `high`, and the rows `right` and `wrong`."""
    edges = np.arange(BINS + 1) / BINS
    place = np.searchsorted(counts.thresholds, edges[:-1])
    rows, wrong = _between(counts.answered, place), _between(counts.errors, place)
    drawn_rows = _between(counts.drawn_answered, place)
    drawn_right = drawn_rows - _between(counts.drawn_errors, place)
    used = np.flatnonzero(rows)
    bounds = band(rows - wrong, rows, drawn_right, drawn_rows)
    curve = reliability_curve(p, correct, bins=BINS)
    return [
        {
            "from": float(edges[at]),
            "to": float(edges[at + 1]),
            "mean_p": float(mean_p),
            "accuracy": float(accuracy),
            "low": float(bounds.low[at]),
            "high": float(bounds.high[at]),
            "right": int(rows[at] - wrong[at]),
            "wrong": int(wrong[at]),
        }
        for at, mean_p, accuracy in zip(used, curve.mean_p, curve.accuracy, strict=True)
    ]


def risk_coverage(counts: Tally) -> Points:
    """From the strictest threshold that answers anything to the most lenient: `threshold`, the
    share of rows answered `coverage`, and that of wrong ones among them `risk`, `low` to `high`."""
    places = _few(counts)
    bounds = counts.risk_band(places)
    return [
        {
            "threshold": float(counts.thresholds[at]),
            "coverage": float(counts.answered[at] / counts.rows),
            "risk": float(counts.errors[at] / counts.answered[at]),
            "low": float(low),
            "high": float(high),
        }
        for at, low, high in zip(places, bounds.low, bounds.high, strict=True)
    ]


def top_of_risk(curves: Sequence[Points], allowed: Sequence[float] = ()) -> float:
    """Where the axis of risk may end, in (0, 1]: above the bands and what certificates allow, but
    for bands of the strictest thresholds, whose few answers show noise alone."""
    highs = [one["high"] for points in curves for one in points if one["coverage"] >= NOISE]
    return float(min(1.0, max(0.05, 1.1 * max((*highs, *allowed)))))


def roc(counts: Tally) -> Points:
    """Shares of the right and of the wrong answers that are given, `right` and `wrong`; nothing
    where all are right, or all wrong."""
    right = counts.rows - counts.wrong
    if not right or not counts.wrong:
        return []
    points = [
        {
            "wrong": float(counts.errors[at] / counts.wrong),
            "right": float((counts.answered[at] - counts.errors[at]) / right),
        }
        for at in _few(counts)
    ]
    return [{"wrong": 0.0, "right": 0.0}, *points]


def _between(counts: NDArray[Any], place: NDArray[np.intp]) -> NDArray[Any]:
    """Of counts at thresholds, those of the bins that begin at these places, along the last
    axis."""
    at = counts[..., place]
    found: NDArray[Any] = at - np.append(at[..., 1:], np.zeros_like(at[..., :1]), axis=-1)
    return found


def _few(counts: Tally) -> NDArray[np.intp]:
    """Places of thresholds that differ in what they answer, strict to lenient: the first, the last,
    and so many between that no more rows than needed lie from one to the next."""
    answered = counts.answered[::-1]
    new = np.flatnonzero(np.diff(answered, prepend=0))
    if new.size > MOST:
        wanted = np.linspace(answered[new[0]], answered[new[-1]], MOST)
        new = np.unique(new[np.searchsorted(answered[new], wanted)])
    return counts.answered.size - 1 - new
