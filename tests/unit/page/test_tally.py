"""What a threshold answers and errs in, counted at every threshold that a page offers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from ct_guard.page.tally import band, tally, thresholds_for, wilson
from ct_guard.risk import GRID, certify


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 1) | st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0, 0.9999999]),
            st.booleans(),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_counts_are_those_of_the_rule_at_every_threshold(rows: list[tuple[float, bool]]) -> None:
    p = np.array([one for one, _ in rows])
    correct = np.array([one for _, one in rows])
    thresholds = thresholds_for([p])
    found = tally(p, correct, np.arange(p.size), thresholds, resamples=2)
    given_out = p[None, :] >= thresholds[:, None]
    np.testing.assert_array_equal(found.answered, given_out.sum(axis=1))
    np.testing.assert_array_equal(found.errors, (given_out & ~correct).sum(axis=1))
    assert (found.rows, found.wrong) == (p.size, int((~correct).sum()))


def test_thresholds_hold_even_steps_what_can_be_certified_and_what_was() -> None:
    found = thresholds_for([np.array([0.123456789, 0.9999999871])], [0.7654321])
    assert set(np.arange(1001) / 1000) <= set(found)
    assert set(GRID) <= set(found)
    assert {0.7654321, 0.1234, 0.999999987} <= set(found)
    assert (np.diff(found) > 0).all()
    assert (found[0], found[-1]) == (0.0, 1.0)


def test_a_certified_threshold_has_its_counts() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(800)
    correct = rng.random(800) < np.sqrt(p)
    promised = certify(p, correct, alpha=0.15)
    assert promised.threshold is not None
    found = tally(p, correct, np.arange(800), thresholds_for([p]), resamples=2)
    assert found.at(promised.threshold) == (promised.answered, promised.errors)


def test_a_resample_draws_whole_questions() -> None:
    p = np.repeat([0.2, 0.8], 50)
    question = np.repeat([0, 1], 50)
    found = tally(p, p > 0.5, question, thresholds_for([p]), resamples=30)
    totals = found.drawn_answered[:, 0]
    np.testing.assert_array_equal(totals, 100)
    half = found.drawn_answered[:, np.searchsorted(found.thresholds, 0.5)]
    assert set(half) == {0.0, 50.0, 100.0}


@pytest.mark.parametrize(("part", "whole"), [(0, 3), (3, 3), (7, 50), (499, 1000)])
def test_intervals_of_independent_rows_are_wilsons(part: int, whole: int) -> None:
    found = wilson([part], [whole])
    known = binomtest(part, whole).proportion_ci(method="wilson")
    assert (found.low[0], found.high[0]) == pytest.approx((known.low, known.high))


def test_a_band_holds_its_share_and_is_no_narrower_than_wilsons() -> None:
    drawn = np.array([[0.0, 4.0, 0.0], [0.0, 6.0, 0.0]])
    found = band([0, 5, 0], [3, 10, 0], drawn, np.array([[3.0, 10.0, 0.0], [3.0, 10.0, 0.0]]))
    alone = wilson([0, 5], [3, 10])
    assert found.low[0] == 0
    assert found.high[0] == pytest.approx(alone.high[0])  # no resample knows of an error
    assert found.low[1] <= 0.5 <= found.high[1]
    assert np.isnan(found.low[2])


def test_bands_of_risk_hold_the_risk_of_new_rows() -> None:
    """Of 40 files, at P(correct) >= 0.5 and at most 2 outside in 38 of them at level 95%."""
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = rng.random(400)
        found = tally(p, rng.random(400) < p, np.arange(400), thresholds_for([p]), resamples=100)
        at = int(np.searchsorted(found.thresholds, 0.5))
        bounds = found.risk_band(np.array([at]))
        held += bool(bounds.low[0] <= 0.25 <= bounds.high[0])
    assert held >= 35
