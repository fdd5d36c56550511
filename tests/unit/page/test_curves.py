"""The points of a page's diagrams."""

import numpy as np
import pytest

from ct_guard.metrics import auroc, reliability_curve, risk_coverage_curve
from ct_guard.page.curves import MOST, reliability, risk_coverage, roc, top_of_risk
from ct_guard.page.tally import Tally, tally, thresholds_for

RNG = np.random.default_rng(3)
P = RNG.beta(2, 1, 3000)
CORRECT = RNG.random(3000) < P


def counted(p: np.ndarray, correct: np.ndarray) -> Tally:
    return tally(p, correct, np.arange(p.size), thresholds_for([p]), resamples=50)


@pytest.fixture(scope="module")
def counts() -> Tally:
    return counted(P, CORRECT)


def test_bins_are_those_of_the_reliability_curve_each_with_a_band(counts: Tally) -> None:
    found = reliability(P, CORRECT, counts)
    known = reliability_curve(P, CORRECT)
    assert [one["mean_p"] for one in found] == known.mean_p.tolist()
    assert [one["right"] / (one["right"] + one["wrong"]) for one in found] == pytest.approx(
        known.accuracy
    )
    assert [one["right"] + one["wrong"] for one in found] == known.count.tolist()
    for one in found:
        assert one["from"] <= one["mean_p"] <= one["to"]
        assert 0 <= one["low"] <= one["accuracy"] <= one["high"] <= 1


def test_empty_bins_are_left_out() -> None:
    p = np.array([0.05, 0.95, 1.0])
    found = reliability(p, p > 0.5, counted(p, p > 0.5))
    assert [(one["from"], one["right"], one["wrong"]) for one in found] == [
        (0.0, 0, 1),
        (0.9, 2, 0),
    ]


def test_risk_and_coverage_lie_on_the_whole_curve(counts: Tally) -> None:
    found = risk_coverage(counts)
    known = risk_coverage_curve(P, CORRECT)
    whole = dict(zip(known.coverage.round(9), known.risk, strict=True))
    assert len(found) <= MOST
    assert found[-1]["coverage"] == 1.0
    for one in found:
        assert one["risk"] == pytest.approx(whole[round(one["coverage"], 9)])
        assert one["low"] <= one["risk"] <= one["high"]
    steps = np.diff([one["coverage"] for one in found])
    assert (steps > 0).all()
    assert steps.max() < 0.02


def test_the_axis_of_risk_has_room_for_all_but_the_noise_of_a_few_answers() -> None:
    few = {"coverage": 0.001, "high": 1.0}
    curve = [few, {"coverage": 0.5, "high": 0.2}, {"coverage": 1.0, "high": 0.3}]
    assert top_of_risk([curve]) == pytest.approx(0.33)
    assert top_of_risk([curve], [0.4]) == pytest.approx(0.44)
    assert top_of_risk([[few, {"coverage": 1.0, "high": 0.99}]]) == 1.0
    assert top_of_risk([[few, {"coverage": 1.0, "high": 0.001}]]) == 0.05


def test_the_area_below_the_roc_is_auroc(counts: Tally) -> None:
    found = roc(counts)
    assert found[0] == {"wrong": 0.0, "right": 0.0}
    assert found[-1] == {"wrong": 1.0, "right": 1.0}
    area = np.trapezoid([one["right"] for one in found], [one["wrong"] for one in found])
    assert area == pytest.approx(auroc(P, CORRECT), abs=0.002)


@pytest.mark.parametrize("kind", [True, False])
def test_without_both_kinds_there_is_no_roc(kind: bool) -> None:
    assert roc(counted(P[:50], np.full(50, kind))) == []


def test_one_confidence_for_all_is_one_point() -> None:
    found = risk_coverage(counted(np.full(40, 0.5), np.arange(40) < 30))
    assert [(one["coverage"], one["risk"]) for one in found] == [(1.0, 0.25)]
