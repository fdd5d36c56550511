"""The points of the diagrams as records."""

import numpy as np
import pytest

from ct_guard.evaluation.points import reliability_points, risk_coverage_points
from ct_guard.metrics import ece, risk_coverage_curve


def test_the_bins_of_the_reliability_diagram_add_up_to_ece() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(500) ** 2
    correct = rng.random(500) < 0.5
    bins = reliability_points(p, correct)
    assert sum(one["count"] for one in bins) == 500
    gaps = [one["count"] * abs(one["accuracy"] - one["mean_p"]) for one in bins]
    assert sum(gaps) / 500 == pytest.approx(ece(p, correct))


def test_a_short_risk_coverage_curve_is_whole() -> None:
    points = risk_coverage_points(np.array([0.9, 0.5, 0.9, 0.1]), np.array([1, 0, 1, 0]) == 1)
    assert points == [
        {"threshold": 0.9, "coverage": 0.5, "risk": 0.0},
        {"threshold": 0.5, "coverage": 0.75, "risk": pytest.approx(1 / 3)},
        {"threshold": 0.1, "coverage": 1.0, "risk": 0.5},
    ]


def test_a_long_risk_coverage_curve_is_thinned_and_keeps_its_ends() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(5000)
    correct = rng.random(5000) < p
    points = risk_coverage_points(p, correct)
    curve = risk_coverage_curve(p, correct)
    assert len(points) == 200
    assert points[0]["threshold"] == curve.threshold[0]
    assert points[-1] == {
        "threshold": curve.threshold[-1], "coverage": 1.0, "risk": pytest.approx(curve.risk[-1]),
    }  # fmt: skip
    assert np.all(np.diff([one["coverage"] for one in points]) > 0)
    assert np.max(np.diff([one["coverage"] for one in points])) < 0.01


def test_one_confidence_for_all_rows_is_one_point() -> None:
    p, correct = np.full(10, 0.5), np.arange(10) < 3
    assert risk_coverage_points(p, correct) == [
        {"threshold": 0.5, "coverage": 1.0, "risk": pytest.approx(0.7)}
    ]
    assert reliability_points(p, correct) == [{"mean_p": 0.5, "accuracy": 0.3, "count": 10}]
