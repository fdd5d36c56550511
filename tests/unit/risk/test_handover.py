"""What is learnt of a stronger model where the weaker one is unsure."""

import numpy as np
import pytest
from scipy.special import expit, logit

from ct_guard.errors import UsageError
from ct_guard.evaluation.figures import Bools, Floats
from ct_guard.risk import fit_handover


def draw(n: int, rng: np.random.Generator, together: float) -> tuple[Floats, Bools]:
    """P of both; the stronger is right less often than it says where the weaker is unsure."""
    p = rng.uniform(0.05, 0.95, (n, 2))
    second = expit(logit(p[:, 1]) - together * (p[:, 0] < 0.5))
    return p, np.column_stack([rng.random(n) < p[:, 0], rng.random(n) < second])


def test_the_stronger_model_is_known_to_be_overrated_where_the_weaker_is_unsure() -> None:
    p, correct = draw(4000, np.random.default_rng(0), together=1.5)
    (step,) = fit_handover(p, correct, models=("weak", "strong")).steps
    low = [one for one in step if one.low < 0.4]
    high = [one for one in step if one.low >= 0.5]
    assert np.mean([one.shift for one in low]) == pytest.approx(-1.5, abs=0.25)
    assert np.mean([one.shift for one in high]) == pytest.approx(0.0, abs=0.25)
    for one in step:
        says = expit(logit(np.array(one.reached)) + one.shift).mean()
        assert says == pytest.approx(one.right / one.rows, abs=0.03)


def test_bins_hold_equal_numbers_and_all_rows() -> None:
    p, correct = draw(1000, np.random.default_rng(1), together=0.0)
    found = fit_handover(p, correct, models=("a", "b"))
    (step,) = found.steps
    assert [one.rows for one in step] == [100] * 10
    assert step[0].low == 0.0
    assert found.highest == tuple(p.max(axis=0))
    assert found.n == 1000


def test_few_rows_are_one_bin_that_shifts_little() -> None:
    found = fit_handover([[0.5, 0.9]] * 3, [[True, False]] * 3, models=("a", "b"))
    ((only,),) = found.steps
    assert (only.low, only.rows, only.right) == (0.0, 3, 0)
    assert -2.5 < only.shift < -1.0  # the labels alone would shift it without end


def test_scores_that_are_all_alike_are_one_bin() -> None:
    p = np.column_stack([np.full(400, 0.3), np.full(400, 0.8)])
    (step,) = fit_handover(p, np.ones((400, 2), bool), models=("a", "b")).steps
    assert [one.rows for one in step] == [400]


def test_three_models_have_two_steps() -> None:
    p = np.random.default_rng(2).random((200, 3))
    assert len(fit_handover(p, p > 0.5, models=("a", "b", "c")).steps) == 2


def test_a_column_for_each_model() -> None:
    with pytest.raises(UsageError, match="a column each"):
        fit_handover([[0.5, 0.5]], [[True, True]], models=("a", "b", "c"))
