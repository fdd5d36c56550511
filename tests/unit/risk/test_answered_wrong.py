"""Conformal risk control: the share of all questions that are answered, and wrongly."""

import numpy as np
import pytest

from ct_guard.errors import UsageError
from ct_guard.evaluation.figures import Bools, Floats
from ct_guard.risk import GRID, control_answered_wrong
from tests.present import present


def draw(n: int, rng: np.random.Generator) -> tuple[Floats, Bools]:
    p = rng.random(n)
    return p, rng.random(n) < p


def test_the_share_is_kept_on_average_and_not_by_much_less() -> None:
    """With P uniform, P(p >= t and wrong) = (1 - t)^2 / 2."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        found = control_answered_wrong(*draw(200, rng), alpha=0.1)
        shares.append((1 - present(found.threshold)) ** 2 / 2)
    assert 0.085 < np.mean(shares) <= 0.1


def test_the_threshold_is_the_most_lenient_of_the_grid_that_keeps_it() -> None:
    p, correct = draw(500, np.random.default_rng(1))
    found = control_answered_wrong(p, correct, alpha=0.1)
    answered = p >= present(found.threshold)
    assert (found.answered, found.errors) == (answered.sum(), (answered & ~correct).sum())
    assert (found.errors + 1) / 501 <= 0.1
    looser = GRID[np.flatnonzero(found.threshold == GRID)[0] + 1]
    assert ((p >= looser) & ~correct).sum() + 1 > 0.1 * 501


def test_it_is_no_error_rate_among_the_answered() -> None:
    p, correct = draw(2000, np.random.default_rng(2))
    found = control_answered_wrong(p, correct, alpha=0.1)
    assert found.errors / found.answered > 0.15
    assert found.errors / found.n <= 0.1


def test_all_right_is_answered_whole() -> None:
    found = control_answered_wrong([0.1] * 50, [True] * 50, alpha=0.05)
    assert (found.threshold, found.answered, found.reason) == (0.0, 50, "")


def test_where_nothing_keeps_it_the_reason_says_what_would() -> None:
    few = control_answered_wrong([0.5] * 18, [True] * 18, alpha=0.05)
    assert few.threshold is None
    assert "18 rows are too few for alpha=0.05: 19 would do" in few.reason
    sure = control_answered_wrong([1.0] * 100, [False] * 100, alpha=0.05)
    assert sure.threshold is None
    assert "100 wrong answers among 100 rows have P(correct) = 1" in sure.reason


@pytest.mark.parametrize("alpha", [0.0, 1.0, float("nan")])
def test_alpha_out_of_range_is_a_usage_error(alpha: float) -> None:
    with pytest.raises(UsageError, match="alpha must be between 0 and 1"):
        control_answered_wrong([0.5], [True], alpha=alpha)
