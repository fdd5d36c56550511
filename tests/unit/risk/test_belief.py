"""What is believed of a cascade's answers: errors of models go together."""

import numpy as np
import pytest
from scipy.special import expit

from ct_guard.risk.belief import errors_believed
from ct_guard.risk.rows import Bools, Floats


def together(n: int, slope: float, seed: int = 0) -> tuple[Floats, Bools]:
    """Two models; the second is right by its own logit and, beyond it, by the first one's."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0.0, 1.5, (2, n))
    p = expit(np.column_stack([first, second]))
    right = rng.random((n, 2)) < expit(np.column_stack([first, second + slope * first]))
    return p, right


def test_few_rows_leave_the_first_stage_as_calibrated_and_the_next_less_sure_after_doubt() -> None:
    p, correct = together(30, 0.0)
    first, second = errors_believed(p, correct, (0, 1))
    assert first == pytest.approx(1 - p[:, 0], abs=0.1)
    doubted = p[:, 0] < 0.3
    assert (second - (1 - p[:, 1]))[doubted].mean() > 0.03
    assert (second - (1 - p[:, 1]))[p[:, 0] > 0.7].mean() < -0.03


@pytest.mark.parametrize("slope", [0.0, 0.8])
def test_many_rows_say_how_far_errors_go_together(slope: float) -> None:
    p, correct = together(20_000, slope)
    believed = errors_believed(p, correct, (0, 1))[1]
    for rows in (p[:, 0] < 0.3, p[:, 0] > 0.7):
        assert believed[rows].mean() == pytest.approx((~correct[rows, 1]).mean(), abs=0.01)


def test_certainties_are_finite() -> None:
    p = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    for one in errors_believed(p, np.array([[True, False]] * 3), (1, 0)):
        assert np.isfinite(one).all()
        assert ((one >= 0) & (one <= 1)).all()
