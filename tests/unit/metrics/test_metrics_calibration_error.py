"""ECE and its relatives, with the defects of the folded one shown by example."""

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ct_guard.errors import UsageError
from ct_guard.metrics import (
    adaptive_ece,
    debiased_squared_error,
    ece,
    ece_noise_floor,
    paper_folded_ece,
    reliability_curve,
    smooth_ece,
)
from ct_guard.metrics.calibration_error import Binning

relaxed = settings(deadline=None, max_examples=60)
rows = st.lists(
    st.tuples(st.floats(0, 1) | st.integers(0, 10).map(lambda i: i / 10), st.booleans()),
    min_size=1,
    max_size=40,
)


def columns(rows: list[tuple[float, bool]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    p, correct = zip(*rows, strict=True)
    return np.array(p), np.array(correct)


def naive_ece(p: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = 10) -> float:
    total = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = (p >= low) & ((p < high) | (b == bins - 1))
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - p[inside].mean())
    return total


@relaxed
@given(rows, st.integers(1, 12))
def test_ece_agrees_with_a_plain_loop_over_bins(rows: list[tuple[float, bool]], bins: int) -> None:
    p, correct = columns(rows)
    assert ece(p, correct, bins=bins) == pytest.approx(naive_ece(p, correct, bins))


@relaxed
@given(rows, st.randoms(use_true_random=False))
def test_bounds_and_row_order(rows: list[tuple[float, bool]], random: Random) -> None:
    p, correct = columns(rows)
    p2, correct2 = columns(random.sample(rows, len(rows)))
    for metric in (ece, adaptive_ece, paper_folded_ece):
        assert 0 <= metric(p, correct) <= 1
        assert metric(p, correct) == pytest.approx(metric(p2, correct2))
    assert debiased_squared_error(p, correct) <= 1
    assert ece_noise_floor(p, draws=3) == ece_noise_floor(p2, draws=3)


@relaxed
@given(rows)
def test_one_bin_compares_the_means(rows: list[tuple[float, bool]]) -> None:
    p, correct = columns(rows)
    gap = abs(p.mean() - correct.mean())
    assert ece(p, correct, bins=1) == pytest.approx(gap)
    assert adaptive_ece(p, correct, bins=1) == pytest.approx(gap)
    # Every binning can only add to that (triangle inequality).
    assert ece(p, correct) >= gap - 1e-12


@relaxed
@given(rows, st.sampled_from(["width", "mass"]))
def test_the_reliability_curve_holds_every_row_once(
    rows: list[tuple[float, bool]], binning: Binning
) -> None:
    p, correct = columns(rows)
    curve = reliability_curve(p, correct, binning=binning)
    assert curve.count.sum() == p.size
    assert (curve.count > 0).all()
    assert (np.diff(curve.mean_p) > 0).all()
    assert np.sum(curve.count * curve.accuracy) == pytest.approx(correct.sum())


def test_ece_by_hand() -> None:
    # Bin [0.1, 0.2): |0.5 - 0.15|; bin [0.9, 1]: |1 - 0.95|.
    assert ece([0.1, 0.2 - 1e-9, 0.9, 1.0], [0, 1, 1, 1]) == pytest.approx((0.35 + 0.05) / 2)


def test_bins_are_closed_on_the_left_also_at_three_tenths() -> None:
    curve = reliability_curve([0.29, 0.3], [True, True])
    assert curve.count.tolist() == [1, 1]


def test_adaptive_bins_hold_equal_mass_and_keep_ties_together() -> None:
    p = np.linspace(0, 0.05, 100)
    curve = reliability_curve(p, p > 0.02, bins=5, binning="mass")
    assert curve.count.tolist() == [20] * 5
    assert reliability_curve(p, p > 0.02, bins=5).count.tolist() == [100]
    tied = reliability_curve([0.2] * 7 + [0.8] * 3, [1] * 10, bins=5, binning="mass")
    assert tied.count.tolist() == [7, 3]


def test_folding_hides_a_constant_bias_of_a_tenth() -> None:
    truth = np.repeat(np.arange(0.05, 0.9, 0.01), 200)
    correct = np.tile(np.arange(200), 85) < 200 * truth  # exactly calibrated
    biased = np.clip(truth + 0.10, 0, 1)
    assert ece(truth, correct) < 0.005
    assert ece(biased, correct) == pytest.approx(0.10, abs=0.005)
    assert paper_folded_ece(biased, correct) < 0.03


def test_folding_drops_a_confidence_of_exactly_one() -> None:
    p = np.array([1.0] * 80 + [0.75] * 20)
    correct = np.array([1] * 60 + [0] * 20 + [1] * 15 + [0] * 5)
    assert ece(p, correct) == pytest.approx(0.8 * 0.25)
    assert paper_folded_ece(p, correct) == pytest.approx(0.0)
    assert paper_folded_ece([1.0, 0.0], [False, True]) == 0.0


def test_folded_by_hand() -> None:
    # Confidences 0.75 (judged right) and 0.7 (judged wrong), both in [0.7, 0.8).
    assert paper_folded_ece([0.75, 0.3], [True, True]) == pytest.approx(0.225)


def test_noise_floor_is_what_a_calibrated_predictor_scores() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(150)  # rows of an average MMLU subject
    observed = np.mean([ece(p, rng.random(150) < p) for _ in range(300)])
    assert ece_noise_floor(p) == pytest.approx(observed, rel=0.05)
    assert 0.05 < ece_noise_floor(p) < 0.10
    assert ece_noise_floor(np.repeat(p, 100)) < 0.011
    assert ece_noise_floor([0.0, 1.0]) == 0.0


def test_noise_floor_depends_on_the_seed_only() -> None:
    p = np.random.default_rng(0).random(50)
    assert ece_noise_floor(p, seed=1) == ece_noise_floor(p, seed=1)
    assert ece_noise_floor(p, seed=1) != ece_noise_floor(p, seed=2)


def test_debiasing_takes_off_the_noise_of_a_calibrated_predictor() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(100)
    plain, debiased, shifted = [], [], []
    for _ in range(400):
        correct = rng.random(100) < p
        curve = reliability_curve(p, correct, binning="mass")
        plain.append(np.average((curve.accuracy - curve.mean_p) ** 2, weights=curve.count))
        debiased.append(debiased_squared_error(p, correct))
        shifted.append(debiased_squared_error(p, rng.random(100) < np.clip(p - 0.2, 0, 1)))
    assert np.mean(plain) > 0.01
    assert np.mean(debiased) == pytest.approx(0, abs=0.002)
    truth = reliability_curve(p, p > 0.5, binning="mass").mean_p
    assert np.mean(shifted) == pytest.approx(np.mean(np.minimum(truth, 0.2) ** 2), abs=0.004)


def test_debiased_by_hand() -> None:
    # One value of p, one bin of 4: (0.75 - 0.5)^2 - 0.75 * 0.25 / 3.
    assert debiased_squared_error([0.5] * 4, [1, 1, 1, 0]) == pytest.approx(0.0625 - 0.0625)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ece([0.5], [True], bins=0),
        lambda: ece_noise_floor([0.5], draws=0),
        lambda: ece_noise_floor([]),
        lambda: reliability_curve([0.5], [True], binning="equal"),  # type: ignore[arg-type]
    ],
)
def test_bad_settings_are_usage_errors(call: Any) -> None:
    with pytest.raises(UsageError):
        call()


def test_smooth_ece_of_a_constant_bias_is_the_bias_and_near_nothing_of_none() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.2, 0.6, 20_000)
    calibrated, biased = rng.random(20_000) < p, rng.random(20_000) < p + 0.2
    assert smooth_ece(p, calibrated) < 0.02
    assert smooth_ece(p, biased) == pytest.approx(0.2, abs=0.03)
    with pytest.raises(UsageError, match="in \\[0, 1\\]"):
        smooth_ece([2.0], [True])
