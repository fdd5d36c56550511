"""The kind of calibrator is chosen on questions that were not fitted on."""

import numpy as np
import pytest
from scipy.special import expit

from ct_guard.calibration import choose
from ct_guard.calibration.folds import folds_by_question
from ct_guard.errors import CalibrationError, UsageError


def graded(count: int, law: object, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, count)
    return z, rng.random(count) < law(z)  # type: ignore[operator]


def shifted(z: np.ndarray) -> np.ndarray:
    return expit(0.7 * z - 1.0)


def stairs(z: np.ndarray) -> np.ndarray:
    """What no sigmoid fits."""
    return np.where(z < -1, 0.1, np.where(z < 1, 0.5, np.where(z < 2, 0.55, 0.99)))


def test_platt_is_the_default_below_a_thousand_labels() -> None:
    z, correct = graded(400, shifted)
    choice = choose(z, correct, np.arange(400))
    assert choice.kind == "platt"
    assert "isotonic" not in choice.log_loss
    assert set(choice.log_loss) >= {"platt", "temperature", "beta", "histogram"}
    assert choice.log_loss["temperature"] > choice.log_loss["platt"]


def test_another_kind_that_is_clearly_better_takes_its_place() -> None:
    z, correct = graded(900, lambda z: np.where(np.abs(z) < 2.5, 0.5, np.where(z > 0, 0.98, 0.45)))
    choice = choose(z, correct, np.arange(900))
    assert choice.kind == "histogram"
    assert choice.log_loss["histogram"] < choice.log_loss["platt"]
    assert "two standard errors" in choice.reason


@pytest.mark.slow
def test_from_a_thousand_labels_the_least_log_loss_wins_and_isotonic_takes_part() -> None:
    z, correct = graded(6000, stairs)
    choice = choose(z, correct, np.arange(6000))
    assert choice.kind in ("isotonic", "histogram")
    assert choice.kind == min(choice.log_loss, key=choice.log_loss.__getitem__)
    assert "isotonic" in choice.log_loss


def test_too_few_rows_to_compare_leave_the_default() -> None:
    choice = choose(np.linspace(-1, 1, 12), np.arange(12) % 2 == 0, np.arange(12))
    assert (choice.kind, choice.log_loss) == ("platt", {})
    assert "too few" in choice.reason


def test_one_class_is_refused() -> None:
    with pytest.raises(CalibrationError, match="all 20 rows are correct"):
        choose(np.zeros(20), np.ones(20, bool), np.arange(20))


def test_folds_hold_every_row_out_once_and_share_no_question() -> None:
    rng = np.random.default_rng(0)
    questions, correct = rng.integers(0, 40, 200), rng.random(200) < 0.3
    held = []
    for fitted, out in folds_by_question(correct, questions):
        assert set(questions[fitted]).isdisjoint(questions[out])
        held += out.tolist()
    assert sorted(held) == list(range(200))
    with pytest.raises(UsageError, match="at least two questions"):
        list(folds_by_question([True, False, True, False], ["q"] * 4))
