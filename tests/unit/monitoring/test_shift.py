"""Ranks among all so far: uniform while nothing changes, whatever the scores."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kstest

from ct_guard.evaluation.figures import Floats
from ct_guard.monitoring.betting import limit
from ct_guard.monitoring.shift import AT_ONCE, RankTest
from ct_guard.risk import BIN_EDGES, bin_of, binned

RATE = 0.02


def test_a_sample_is_counted_in_bins_that_do_not_depend_on_it() -> None:
    counts = binned([0.0, 0.5, 0.5, 1.0])
    assert len(counts) == BIN_EDGES.size + 1 == 82
    assert sum(counts) == 4
    assert counts[0] == counts[-1] == 1
    assert counts[bin_of([0.5])[0]] == 2


def test_the_observation_is_ranked_among_those_before_it_and_itself() -> None:
    """A bin below, and one that is full: (0, 1/5) and (1/5, 1)."""
    low = RankTest(counts=(0, 4))
    wealth, after = low.observe(np.array([0]))
    assert after.counts == (1, 4)
    assert after.bets.seen == 1
    assert np.isfinite(wealth).all()


@pytest.mark.parametrize("values", [1, 2, 5, 1000])
def test_ranks_are_uniform_also_where_scores_tie(
    values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Floats] = []

    def no_bets(ranks: Floats) -> Floats:
        seen.append(ranks)
        return np.zeros((len(ranks), 1))

    monkeypatch.setattr("ct_guard.monitoring.shift.score_bets", no_bets)
    for seed in range(30):
        p = np.random.default_rng(seed).choice(np.linspace(0.02, 0.98, values), 150)
        RankTest(counts=binned(p[:50]), salt=seed).observe(bin_of(p[50:]))
    assert kstest(np.concatenate(seen), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("shift", [-0.6, 0.6])
def test_scores_that_shift_are_found_and_others_are_not(shift: float) -> None:
    rng = np.random.default_rng(3)
    test = RankTest(counts=binned(expit(rng.normal(1.0, 1.5, 1000))))
    quiet, test = test.observe(bin_of(expit(rng.normal(1.0, 1.5, 1000))))
    assert quiet.max() < limit(RATE)
    moved, _ = test.observe(bin_of(expit(rng.normal(1.0 + shift, 1.5, 1000))))
    assert moved.max() >= limit(RATE)


def test_another_spread_is_found_where_the_mean_is_the_same() -> None:
    rng = np.random.default_rng(4)
    test = RankTest(counts=binned(expit(rng.normal(0.0, 1.0, 1000))))
    wealth, _ = test.observe(bin_of(expit(rng.normal(0.0, 2.0, 600))))
    assert wealth.max() >= limit(RATE)


def test_a_share_that_moves_is_found() -> None:
    rng = np.random.default_rng(5)
    test = RankTest(counts=(990, 10))
    quiet, test = test.observe((rng.random(1000) < 0.01).astype(np.intp), shares=True)
    assert quiet.max() < limit(RATE / 7)
    moved, _ = test.observe((rng.random(500) < 0.1).astype(np.intp), shares=True)
    assert moved.max() >= limit(RATE / 7)


def test_a_long_stream_comes_in_parts() -> None:
    bins = bin_of(np.random.default_rng(6).random(2 * AT_ONCE + 5))
    wealth, test = RankTest(counts=(1,) * 82).observe(bins)
    assert wealth.shape == bins.shape
    assert sum(test.counts) == 82 + len(bins)
    assert test.observe(bins[:0])[1] == test
