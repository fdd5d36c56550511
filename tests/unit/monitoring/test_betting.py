"""Money that is bet against "nothing changed": it gains nothing then, and much else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import norm

from ct_guard.monitoring.betting import Bets, limit
from ct_guard.monitoring.selective import RiskTest
from ct_guard.monitoring.shift import score_bets, share_bets


def by_hand(factors: np.ndarray, spread: int) -> list[float]:
    """The mixture over beginnings and kinds of bets, as its definition has it."""
    n, kinds = factors.shape
    worth = []
    for now in range(1, n + 1):
        begun = [
            spread / ((s + spread - 1) * (s + spread)) / kinds * factors[s - 1 : now, kind].prod()
            for s in range(1, now + 1)
            for kind in range(kinds)
        ]
        worth.append(sum(begun) + spread / (now + spread))
    return worth


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 3), st.integers(1, 60))
def test_wealth_is_the_mixture_over_all_beginnings(
    seed: int, n: int, kinds: int, spread: int
) -> None:
    factors = np.random.default_rng(seed).uniform(0.2, 3.0, (n, kinds))
    wealth = Bets().settle(np.log(factors), spread=spread)
    assert np.exp(wealth.log) == pytest.approx(by_hand(factors, spread))
    assert wealth.bets.seen == n


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 40), st.integers(0, 40))
def test_it_does_not_matter_how_a_stream_is_divided(seed: int, n: int, cut: int) -> None:
    factors = np.log(np.random.default_rng(seed).uniform(0.2, 3.0, (n, 2)))
    whole = Bets().settle(factors, spread=50)
    first = Bets().settle(factors[:cut], spread=50)
    kept = Bets.model_validate_json(first.bets.model_dump_json())
    second = kept.settle(factors[cut:], spread=50)
    assert np.concatenate((first.log, second.log)) == pytest.approx(whole.log)
    assert second.bets.log == pytest.approx(whole.bets.log)


def test_bets_that_neither_gain_nor_lose_keep_the_money() -> None:
    assert Bets().settle(np.zeros((500, 3)), spread=50).log == pytest.approx(np.zeros(500))


def test_no_bet_on_scores_has_an_expected_gain_while_ranks_are_uniform() -> None:
    z = np.linspace(-8, 8, 4001)
    gains = np.exp(score_bets(ndtr(z))) * norm.pdf(z)[:, None]
    assert gains.sum(axis=0) * (z[1] - z[0]) == pytest.approx(np.ones(gains.shape[1]), abs=1e-3)


def test_no_bet_on_shares_has_one() -> None:
    ranks = (np.arange(1000) + 0.5) / 1000
    gains = np.exp(share_bets(ranks)).mean(axis=0)
    assert gains == pytest.approx(np.ones(gains.shape))


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.3, 0.9])
def test_no_bet_gains_while_at_most_alpha_are_wrong(alpha: float) -> None:
    wrong, right = (
        np.exp(RiskTest(alpha=alpha).observe(np.array([is_wrong]), goal=9.0)[0][0])
        for is_wrong in (1, 0)
    )
    assert alpha * wrong + (1 - alpha) * right == pytest.approx(1.0)
    assert right < 1 < wrong


def test_what_quiet_time_has_lost_does_not_hide_a_change() -> None:
    """All of the money bet at once would be worth exp(-350) here."""
    test = RiskTest(alpha=0.1)
    quiet = np.zeros(5000, np.bool_)
    wealth, test = test.observe(quiet, goal=limit(0.02))
    assert wealth[-1] > -6
    wealth, test = test.observe(np.ones(20, np.bool_), goal=limit(0.02))
    assert wealth[-1] >= limit(0.02)
    assert (test.errors, test.bets.seen) == (20, 5020)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 40))
def test_frugal_bets_are_the_same_until_the_goal_is_near(seed: int, n: int) -> None:
    factors = np.random.default_rng(seed).uniform(0.5, 1.5, (n, 2))
    frugal = Bets().settle_frugally(
        factors, np.full(2, 1.5), spread=50, shares=np.full(2, 0.5), goal=100.0
    )
    plain = Bets().settle(np.log(factors), spread=50)
    assert frugal.log == pytest.approx(plain.log)
    assert frugal.bets.log == pytest.approx(plain.bets.log)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_near_the_goal_no_more_is_staked_than_reaches_it(alpha: float) -> None:
    goal = limit(0.02)
    wealth, _ = RiskTest(alpha=alpha).observe(np.ones(30, np.bool_), goal=goal)
    assert wealth.max() == pytest.approx(goal)
    first = int(np.argmax(wealth >= goal))
    wealth, before = RiskTest(alpha=alpha).observe(np.ones(first, np.bool_), goal=goal)
    wrong, right = (
        np.exp(before.observe(np.array([one]), goal=goal)[0][0]) for one in (True, False)
    )
    assert alpha * wrong + (1 - alpha) * right == pytest.approx(np.exp(wealth[-1]), rel=1e-3)
