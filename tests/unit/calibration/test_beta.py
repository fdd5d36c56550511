"""Beta calibration against the law that made the labels, and against Platt inside it."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ct_guard.calibration import apply, fit


def drawn(p: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(p.size) < p


def test_it_finds_the_law_that_made_the_labels() -> None:
    z = np.random.default_rng(1).normal(0, 2, 40_000)
    s = expit(z)
    law = expit(0.4 * np.log(s) - 1.8 * np.log1p(-s) - 0.5)
    state = fit("beta", z, drawn(law))
    assert [state.params[name] for name in "abc"] == pytest.approx([0.4, 1.8, -0.5], abs=0.08)
    assert apply(state, z) == pytest.approx(law, abs=0.02)


def test_where_the_optimum_is_inside_it_is_that_of_logistic_regression() -> None:
    z = np.random.default_rng(2).normal(0, 2, 3000)
    correct = drawn(expit(0.8 * z - 0.3))
    features = np.column_stack([-np.logaddexp(0, -z), np.logaddexp(0, z)])
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(features, correct)
    assert (model.coef_ > 0).all()
    state = fit("beta", z, correct)
    found = [state.params["a"], state.params["b"], state.params["c"]]
    assert found == pytest.approx([*model.coef_[0], *model.intercept_], rel=1e-3)


def test_labels_that_go_against_the_logits_give_the_base_rate() -> None:
    z = np.random.default_rng(3).normal(0, 2, 500)
    correct = drawn(expit(-2 * z))
    state = fit("beta", z, correct)
    assert (state.params["a"], state.params["b"]) == (0.0, 0.0)
    assert apply(state, [-3.0, 3.0]) == pytest.approx([correct.mean()] * 2, abs=1e-6)


def test_perfect_separation_is_smoothed_and_said() -> None:
    z = np.linspace(-2, 2, 40)
    with pytest.warns(UserWarning, match="separate right from wrong"):
        state = fit("beta", z, z > 0)
    p = apply(state, [-2.0, 2.0])
    assert 0 < p[0] < 0.1 < 0.9 < p[1] < 1
