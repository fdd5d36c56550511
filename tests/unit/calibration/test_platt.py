"""Platt scaling."""

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from ct_guard.calibration import apply, fit
from ct_guard.errors import CalibrationError
from ct_guard.records import CalibratorState


def simulated(
    a: float, b: float, n: int = 20_000, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    z = rng.normal(0.5, 1.5, n)
    return z, rng.random(n) < expit(a * z + b)


def loss(params: Sequence[float], z: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    margin = np.where(correct, 1, -1) * (params[0] * z + params[1])
    return float(np.mean(np.logaddexp(0, -margin)))


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.0), (0.4, -1.0), (2.5, 0.7)])
def test_recovers_the_parameters_that_made_the_labels(a: float, b: float) -> None:
    state = fit("platt", *simulated(a, b))
    assert state.params["a"] == pytest.approx(a, rel=0.06, abs=0.03)
    assert state.params["b"] == pytest.approx(b, abs=0.06)
    assert state.n == 20_000


def test_is_the_unpenalised_optimum() -> None:
    z, correct = simulated(0.7, -0.3, n=60)
    found = minimize(loss, x0=[0.0, 0.0], args=(z, correct), tol=1e-12).x
    state = fit("platt", z, correct)
    assert [state.params["a"], state.params["b"]] == pytest.approx(found, abs=1e-5)


def test_mean_p_is_the_base_rate_on_the_rows_it_was_fitted_on() -> None:
    z, correct = simulated(0.7, -0.3, n=60)
    assert apply(fit("platt", z, correct), z).mean() == pytest.approx(correct.mean())


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(-1e6, 1e6) | st.integers(-3, 3).map(float), st.booleans()),
        min_size=10,
        max_size=30,
    ).filter(lambda rows: len({label for _, label in rows}) == 2)
)
def test_slope_is_never_negative_and_no_other_fit_is_better(rows: list[tuple[float, bool]]) -> None:
    z, correct = (np.array(column) for column in zip(*rows, strict=True))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        state = fit("platt", z, correct)
    a, b = state.params["a"], state.params["b"]
    assert isinstance(a, float)
    assert isinstance(b, float)
    assert a >= 0
    assert all(warning.category is UserWarning for warning in caught)
    if not any("separate" in str(warning.message) for warning in caught):
        best = loss((a, b), z, correct)
        steps = [(1.01 * a, b), (0.99 * a, b), (a, b + 0.01), (a, b - 0.01)]
        assert all(best <= loss(step, z, correct) + 1e-9 for step in steps)


def test_swapped_labels_give_the_base_rate_and_a_warning() -> None:
    z, correct = simulated(1.0, 0.0, n=200)
    with pytest.warns(UserWarning, match="higher logits do not go with right answers"):
        state = fit("platt", z, ~correct)
    assert state.params == {"a": 0.0, "b": pytest.approx(logit(np.mean(~correct)))}


def test_perfectly_inverted_scores_give_the_base_rate_and_a_warning() -> None:
    with pytest.warns(UserWarning, match="higher logits do not go with right answers"):
        state = fit("platt", np.arange(10), np.arange(10) < 4)
    assert apply(state, [-5.0, 50.0]) == pytest.approx([0.4, 0.4])


def test_separable_scores_use_the_smoothed_targets_of_platt() -> None:
    z = np.array([-1.0] * 5 + [1.0] * 8)
    with pytest.warns(UserWarning, match="separate right from wrong perfectly"):
        state = fit("platt", z, z > 0)
    # Two points and two parameters: the targets are met exactly.
    assert apply(state, [-1.0, 1.0]) == pytest.approx([1 / 7, 9 / 10])


def test_scores_that_touch_in_one_value_are_separable_too() -> None:
    z, correct = [0.0] * 6 + [1.0] * 6, [False] * 6 + [True] * 3 + [False] * 3
    with pytest.warns(UserWarning, match="separate"):
        state = fit("platt", z, correct)
    a = state.params["a"]
    assert isinstance(a, float)
    assert 0 < a < 100


def test_separation_but_for_a_hair_is_treated_alike() -> None:
    z = [-1.0] + [0.0] * 7 + [-1e-26, 3000.0]
    with pytest.warns(UserWarning, match="separate right from wrong perfectly, or all but"):
        state = fit("platt", z, [False] * 8 + [True] * 2)
    assert apply(state, [3000.0])[0] < 0.8


def test_moving_and_stretching_the_logits_changes_nothing() -> None:
    z, correct = simulated(0.7, -0.3, n=60)
    p = apply(fit("platt", z, correct), z)
    moved = 1e5 * z - 3e6
    assert apply(fit("platt", moved, correct), moved) == pytest.approx(p, abs=1e-6)


def test_no_overflow_far_out() -> None:
    state = CalibratorState(kind="platt", params={"a": 1e10, "b": 0.0}, n=10)
    assert apply(state, [-1.7e308, 0.0, 1.7e308]).tolist() == [0.0, 0.5, 1.0]


def test_a_state_without_its_parameter_is_refused() -> None:
    state = CalibratorState(kind="platt", params={"a": 1.0}, n=10)
    with pytest.raises(CalibrationError, match="no number 'b'"):
        apply(state, [0.0])
