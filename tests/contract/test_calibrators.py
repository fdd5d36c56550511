"""What every registered calibrator promises."""

import warnings
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ct_guard.calibration import CALIBRATORS, MIN_ROWS, apply, fit
from ct_guard.errors import CalibrationError
from ct_guard.records import CalibratorState

pytestmark = pytest.mark.parametrize("kind", sorted(CALIBRATORS))

finite = st.floats(allow_nan=False, allow_infinity=False)
graded = st.lists(
    st.tuples(st.floats(-20, 20) | st.integers(-2, 2).map(float) | finite, st.booleans()),
    min_size=MIN_ROWS,
    max_size=30,
).filter(lambda rows: len({label for _, label in rows}) == 2)


def fit_quietly(
    kind: str, logits: NDArray[np.float64], correct: NDArray[np.bool_]
) -> CalibratorState:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        state = fit(kind, logits, correct)
    assert all(warning.category is UserWarning for warning in caught)
    return state


def assert_probabilities(p: NDArray[np.float64], n: int) -> None:
    assert p.shape == (n,)
    assert p.dtype == np.float64
    assert ((p >= 0) & (p <= 1)).all()


@settings(deadline=None, max_examples=80)
@given(rows=graded, new=st.lists(finite, max_size=20))
def test_probabilities_that_never_decrease_in_the_logit(
    kind: str, rows: list[tuple[float, bool]], new: list[float]
) -> None:
    logits, correct = (np.array(column) for column in zip(*rows, strict=True))
    state = fit_quietly(kind, logits, correct)
    p = apply(state, sorted(new))
    assert_probabilities(p, len(new))
    assert (np.diff(p) >= -1e-15).all()  # an ulp


@settings(deadline=None, max_examples=40)
@given(rows=graded)
def test_the_state_survives_json_to_the_last_bit(kind: str, rows: list[tuple[float, bool]]) -> None:
    logits, correct = (np.array(column) for column in zip(*rows, strict=True))
    state = fit_quietly(kind, logits, correct)
    again = CalibratorState.model_validate_json(state.model_dump_json())
    assert again == state
    assert apply(again, logits).tolist() == apply(state, logits).tolist()
    assert (state.kind, state.n) == (kind, len(rows))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), order=st.randoms(use_true_random=False))
def test_row_order_does_not_matter(kind: str, seed: int, order: Random) -> None:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=80)
    correct = rng.random(80) < 1 / (1 + np.exp(-z))
    rows = order.sample(range(80), 80)
    p, shuffled = (apply(fit_quietly(kind, z[i], correct[i]), z) for i in (slice(None), rows))
    assert shuffled == pytest.approx(p, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 2.5, -1e300, 5e-324])
def test_constant_logits_still_calibrate(kind: str, value: float) -> None:
    state = fit_quietly(kind, np.full(20, value), np.arange(20) < 15)
    assert_probabilities(apply(state, [value, -1.0, 1.0]), 3)


@pytest.mark.parametrize("scale", [1e-320, 1e6, 1e300])
def test_huge_and_tiny_logits(kind: str, scale: float) -> None:
    z = scale * np.linspace(-1, 1, 40)
    correct = np.arange(40) % 4 + np.arange(40) / 10 > 3.5
    p = apply(fit_quietly(kind, z, correct), z)
    assert_probabilities(p, 40)


def test_no_rows_to_apply_it_to(kind: str) -> None:
    z = np.linspace(-1, 1, 20)
    state = fit_quietly(kind, z, np.arange(20) % 3 == 0)
    assert_probabilities(apply(state, []), 0)


@pytest.mark.parametrize(
    ("logits", "correct", "message"),
    [
        (np.zeros(20), np.ones(20, bool), "all 20 rows are correct"),
        (np.zeros(20), np.zeros(20, bool), "all 20 rows are wrong"),
        (np.zeros(9), np.arange(9) < 4, "at least 10 graded rows, not 9"),
        ([], [], "at least 10"),
        ([0.0] * 19 + [np.nan], np.arange(20) < 4, "row 19 is nan"),
        ([0.0] * 19 + [np.inf], np.arange(20) < 4, "row 19 is inf"),
        (["high"] * 20, np.arange(20) < 4, "must be numbers"),
        (np.zeros((20, 1)), np.arange(20) < 4, "one-dimensional"),
        (np.zeros(20), np.arange(19) < 4, "correct must have shape"),
        (np.zeros(20), np.arange(20), "correct must be booleans"),
    ],
)
def test_what_cannot_be_fitted_is_a_calibration_error(
    kind: str, logits: Any, correct: Any, message: str
) -> None:
    with pytest.raises(CalibrationError, match=message):
        fit(kind, logits, correct)


def test_what_cannot_be_applied_is_a_calibration_error(kind: str) -> None:
    z = np.linspace(-1, 1, 20)
    state = fit_quietly(kind, z, np.arange(20) % 3 == 0)
    with pytest.raises(CalibrationError, match="row 1 is nan"):
        apply(state, [0.0, np.nan])
    with pytest.raises(CalibrationError, match="no number"):
        apply(CalibratorState(kind=kind, params={}, n=20), [0.0])
    with pytest.raises(CalibrationError, match="no calibrator 'nosuch'"):
        apply(CalibratorState(kind="nosuch", params={}, n=20), [0.0])
