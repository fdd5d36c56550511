"""Risk-coverage curves and the areas, accuracies and coverages read off them."""

import itertools
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ct_guard.errors import UsageError
from ct_guard.metrics import (
    accuracy_at_coverage,
    augrc,
    aurc,
    auroc,
    coverage_at_risk,
    e_aurc,
    prr,
    risk_coverage_curve,
)
from tests.present import present

relaxed = settings(deadline=None, max_examples=60)
rows = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=30)


def columns(rows: list[tuple[int, bool]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    tenths, correct = zip(*rows, strict=True)
    return np.array(tenths) / 10, np.array(correct)


@relaxed
@given(rows, st.randoms(use_true_random=False))
def test_row_order_does_not_matter(rows: list[tuple[int, bool]], random: Random) -> None:
    p, correct = columns(rows)
    p2, correct2 = columns(random.sample(rows, len(rows)))
    for metric in (aurc, e_aurc, augrc, prr):
        assert metric(p, correct) == metric(p2, correct2)
    for share in (0.1, 0.5, 1.0):
        assert accuracy_at_coverage(p, correct, share) == accuracy_at_coverage(p2, correct2, share)
        assert coverage_at_risk(p, correct, share) == coverage_at_risk(p2, correct2, share)


@relaxed
@given(rows)
def test_only_the_order_of_p_matters(rows: list[tuple[int, bool]]) -> None:
    p, correct = columns(rows)
    for metric in (aurc, e_aurc, augrc, prr):
        assert metric(p**2 / 2, correct) == metric(p, correct)


@relaxed
@given(rows)
def test_bounds(rows: list[tuple[int, bool]]) -> None:
    p, correct = columns(rows)
    error_rate = np.mean(~correct)
    assert 0 <= e_aurc(p, correct) <= aurc(p, correct) + 1e-12 <= 1 + 2e-12
    assert 0 <= augrc(p, correct) <= 0.5
    assert coverage_at_risk(p, correct, float(error_rate)) == 1.0
    assert accuracy_at_coverage(p, correct, 1.0) == pytest.approx(1 - error_rate)
    ratio = prr(p, correct)
    assert ratio is None or ratio <= 1 + 1e-12


@relaxed
@given(rows)
def test_curve_agrees_with_thresholding_by_hand(rows: list[tuple[int, bool]]) -> None:
    p, correct = columns(rows)
    curve = risk_coverage_curve(p, correct)
    assert curve.coverage[-1] == 1.0
    assert (np.diff(curve.threshold) < 0).all()
    for t, coverage, risk in zip(curve.threshold, curve.coverage, curve.risk, strict=True):
        answered = p >= t
        assert coverage == pytest.approx(answered.mean())
        assert risk == pytest.approx(np.mean(~correct[answered]))


@relaxed
@given(rows)
def test_augrc_is_a_function_of_auroc_and_error_rate(rows: list[tuple[int, bool]]) -> None:
    """Traub et al. 2024, equation 6: holds exactly, ties included."""
    p, correct = columns(rows)
    area, e = auroc(p, correct), np.mean(~correct)
    if area is not None:
        assert augrc(p, correct) == pytest.approx((1 - area) * e * (1 - e) + e**2 / 2)


@relaxed
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=5))
def test_ties_are_the_average_over_all_their_orders(rows: list[tuple[int, bool]]) -> None:
    p, correct = columns(rows)
    areas, firsts = [], []
    for permutation in itertools.permutations(range(len(rows))):
        order = np.array(permutation)
        if (np.diff(p[order]) <= 0).all():
            errors = ~correct[order]
            areas.append(np.mean(np.cumsum(errors) / np.arange(1, len(rows) + 1)))
            firsts.append(1 - errors[0])
    assert aurc(p, correct) == pytest.approx(np.mean(areas))
    assert accuracy_at_coverage(p, correct, 1 / len(rows)) == pytest.approx(np.mean(firsts))


def test_by_hand() -> None:
    p, correct = [0.9, 0.8, 0.7, 0.6], [True, False, True, False]
    assert aurc(p, correct) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert e_aurc(p, correct) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2 - 1 / 3 - 1 / 2) / 4)
    assert accuracy_at_coverage(p, correct, 0.5) == 0.5
    assert accuracy_at_coverage(p, correct, 0.51) == pytest.approx(2 / 3)
    assert coverage_at_risk(p, correct, 0.2) == 0.25
    assert coverage_at_risk(p, correct, 0.4) == 0.75
    assert coverage_at_risk([0.9, 0.1], [False, True], 0.2) == 0.0


def test_coverage_counts_rows_despite_float_rounding() -> None:
    p = np.arange(10) / 10
    assert accuracy_at_coverage(p, p >= 0.3, 0.7) == 1.0  # 0.7 * 10 > 7 in floats


def test_prr_is_one_for_the_oracle_zero_for_a_constant_negative_when_inverted() -> None:
    correct = np.array([True] * 6 + [False] * 4)
    assert prr(correct * 0.5, correct) == pytest.approx(1.0)
    assert prr(np.full(10, 0.3), correct) == pytest.approx(0.0)
    assert present(prr(1.0 - correct, correct)) < 0
    assert prr([0.1, 0.2], [True, True]) is None


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_outside_their_range_are_usage_errors(share: float) -> None:
    with pytest.raises(UsageError):
        accuracy_at_coverage([0.5], [True], share)
    with pytest.raises(UsageError):
        coverage_at_risk([0.5], [True], share)
