"""Isotonic and histogram calibration: step functions of the logit."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from ct_guard.calibration import apply, fit
from ct_guard.errors import CalibrationError
from ct_guard.metrics import ece
from ct_guard.records import CalibratorState


def graded(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true P(correct) is no logistic function of them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, count)
    return z, rng.random(count) < expit(np.where(z > 0, 3 * z - 1, z / 4 - 1))


def test_isotonic_is_that_of_scikit_learn_on_its_own_rows_but_for_the_certain_ones() -> None:
    z, correct = graded(2000)
    expected = IsotonicRegression().fit(z, correct).predict(z)
    floor = 1 / 2002
    assert apply(fit("isotonic", z, correct), z) == pytest.approx(
        np.clip(expected, floor, 1 - floor)
    )


def test_a_bin_of_the_histogram_holds_the_smoothed_share_of_right_answers() -> None:
    z = np.repeat([0.0, 1.0], 100)
    correct = np.r_[np.arange(100) < 20, np.arange(100) < 90]
    state = fit("histogram", z, correct)
    assert state.params["edges"] == [0.5]
    assert state.params["p"] == pytest.approx([21 / 102, 91 / 102])


def test_bins_that_decrease_are_pooled() -> None:
    z = np.repeat([0.0, 1.0, 2.0], 100)
    correct = np.r_[np.arange(100) < 40, np.arange(100) < 20, np.arange(100) < 90]
    p = apply(fit("histogram", z, correct), [0.0, 1.0, 2.0])
    assert p == pytest.approx([31 / 102, 31 / 102, 91 / 102])


@pytest.mark.parametrize("kind", ["isotonic", "histogram"])
def test_it_calibrates_what_no_straight_line_can(kind: str) -> None:
    z, correct = graded(20_000)
    test, truth = graded(20_000, seed=1)
    assert ece(apply(fit(kind, z, correct), test), truth) < 0.015
    assert ece(apply(fit("temperature", z, correct), test), truth) > 0.03


@pytest.mark.parametrize("kind", ["isotonic", "histogram"])
def test_a_state_whose_parts_do_not_fit_is_refused(kind: str) -> None:
    broken = CalibratorState(kind=kind, params={"edges": [0.0], "p": [0.5]}, n=20)
    with pytest.raises(CalibrationError, match="1 edges and 1 values"):
        apply(broken, [0.0])
