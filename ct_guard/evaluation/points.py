"""The points of the diagrams as records, for users who draw them themselves."""

import numpy as np

from ct_guard.metrics import reliability_curve, risk_coverage_curve

from .figures import Bools, Floats

__all__ = ["reliability_points", "risk_coverage_points"]

Points = list[dict[str, float]]


def reliability_points(p: Floats, correct: Bools) -> Points:
    """The bins of the reliability diagram (ten of equal width, without the empty ones), ascending:
    `mean_p`, the share of right answers `accuracy`, and `count`, the rows in the bin."""
    curve = reliability_curve(p, correct)
    return [
        {"mean_p": float(mean_p), "accuracy": float(accuracy), "count": int(count)}
        for mean_p, accuracy, count in zip(curve.mean_p, curve.accuracy, curve.count, strict=True)
    ]


def risk_coverage_points(p: Floats, correct: Bools, *, most: int = 200) -> Points:
    """The risk-coverage curve, from the strictest threshold to the most lenient: answering where
    p >= `threshold` answers the share `coverage` of the rows, of which the share `risk` is wrong.

    At most `most` points, spread evenly over the thresholds, the first and the last among them.
    """
    curve = risk_coverage_curve(p, correct)
    last = curve.coverage.size - 1
    kept = np.unique(np.linspace(0, last, min(most, last + 1)).round().astype(int))
    return [
        {
            "threshold": float(curve.threshold[at]),
            "coverage": float(curve.coverage[at]),
            "risk": float(curve.risk[at]),
        }
        for at in kept
    ]
