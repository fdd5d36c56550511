"""Temperature scaling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from ct_guard.calibration import apply, fit
from ct_guard.records import CalibratorState


def simulated(
    temperature: float, n: int = 20_000, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    z = rng.normal(0.5, 2.0, n)
    return z, rng.random(n) < expit(z / temperature)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_recovers_the_temperature_that_made_the_labels(temperature: float) -> None:
    state = fit("temperature", *simulated(temperature))
    assert state.params["temperature"] == pytest.approx(temperature, rel=0.05)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_scales_with_the_logits(seed: int, factor: float) -> None:
    z, correct = simulated(1.5, n=100, seed=seed)
    one, other = fit("temperature", z, correct), fit("temperature", factor * z, correct)
    temperature = one.params["temperature"]
    assert isinstance(temperature, float)
    assert other.params["temperature"] == pytest.approx(factor * temperature, rel=1e-4)


def test_no_other_temperature_has_a_lower_loss() -> None:
    z, correct = simulated(1.5, n=100)

    def loss(t: float) -> float:
        return float(np.mean(np.logaddexp(0, np.where(correct, -1, 1) * z / t)))

    best = fit("temperature", z, correct).params["temperature"]
    assert isinstance(best, float)
    assert all(loss(best) <= loss(t) + 1e-12 for t in np.geomspace(0.01, 100, 400))


def test_one_half_stays_one_half() -> None:
    """Why a bias is beyond it: the sign of the logit is never changed."""
    state = fit("temperature", *simulated(2.0, n=500))
    p = apply(state, [-3.0, -0.1, 0.0, 0.1, 3.0])
    assert p[2] == 0.5
    assert (p[:2] < 0.5).all()
    assert (p[3:] > 0.5).all()


def test_swapped_labels_give_one_half_and_a_warning() -> None:
    z, correct = simulated(1.0, n=200)
    with pytest.warns(UserWarning, match="go against the labels"):
        state = fit("temperature", z, ~correct)
    assert apply(state, z) == pytest.approx(np.full(200, 0.5), abs=1e-3)


def test_signs_that_are_always_right_use_the_smoothed_targets_of_platt() -> None:
    z = np.array([-1.0] * 8 + [1.0] * 8)
    with pytest.warns(UserWarning, match="fit every label"):
        state = fit("temperature", z, z > 0)
    assert apply(state, [-1.0, 1.0]) == pytest.approx([1 / 10, 9 / 10], abs=1e-6)


def test_zeros_carry_nothing() -> None:
    with pytest.warns(UserWarning, match="all logits are 0"):
        state = fit("temperature", np.zeros(10), np.arange(10) < 3)
    assert state.params == {"temperature": 1.0}


def test_no_overflow_far_out() -> None:
    state = CalibratorState(kind="temperature", params={"temperature": 1e-10}, n=10)
    assert apply(state, [-1.7e308, 0.0, 1.7e308]).tolist() == [0.0, 0.5, 1.0]
