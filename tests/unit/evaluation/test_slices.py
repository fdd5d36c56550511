"""Figures within slices, and what noise alone would give there."""

import numpy as np
import pytest

from ct_guard.evaluation.figures import Bools, Floats, Ints
from ct_guard.evaluation.slices import MACRO, SLICED, by_slice
from ct_guard.metrics import ece, ece_noise_floor, pair_accuracy


@pytest.fixture
def calibrated() -> tuple[Floats, Bools, Ints]:
    """2,000 perfectly calibrated rows: two answers to each of 1,000 questions."""
    rng = np.random.default_rng(0)
    p = rng.beta(2, 1, 2000)
    return p, rng.random(2000) < p, np.arange(2000) // 2


@pytest.mark.slow
def test_in_many_small_slices_a_calibrated_estimator_shows_its_noise_floor(
    calibrated: tuple[Floats, Bools, Ints],
) -> None:
    p, correct, question = calibrated
    values = [f"kind {n % 57:02d}" for n in question]
    *slices, macro = by_slice(p, correct, question, values, resamples=100)
    assert len(slices) == 57
    found = macro.figures["ECE"]
    interval, floor = found.interval, found.noise_floor
    assert interval.value is not None
    assert interval.low is not None
    assert interval.high is not None
    assert floor is not None
    assert interval.value > 3 * ece(p, correct), "from noise alone"
    assert interval.value == pytest.approx(floor, rel=0.1)
    assert interval.low < interval.value < interval.high
    assert interval.low < floor < interval.high


def test_each_slice_has_a_noise_floor_of_its_own_and_the_average_has_theirs(
    calibrated: tuple[Floats, Bools, Ints],
) -> None:
    p, correct, question = calibrated
    small = question < 50
    values = ["small" if one else "large" for one in small]
    large, little, macro = by_slice(p, correct, question, values, resamples=100)
    floors = [one.figures["ECE"].noise_floor for one in (large, little)]
    assert floors == [ece_noise_floor(p[~small]), ece_noise_floor(p[small])]
    assert macro.figures["ECE"].noise_floor == pytest.approx(np.mean([f for f in floors if f]))
    others = [f for one in (large, little, macro) for f in one.figures.values() if f.name != "ECE"]
    assert {figure.noise_floor for figure in others} == {None}


def test_pair_accuracy_is_of_the_slices_that_have_pairs() -> None:
    """Slice a has two questions with a right and a wrong answer, b has one, c none."""
    rows = [
        ("a", 0, 0.9, True), ("a", 0, 0.2, False), ("a", 1, 0.3, True), ("a", 1, 0.6, False),
        ("b", 2, 0.8, True), ("b", 2, 0.1, False),
        ("c", 3, 0.8, True), ("c", 3, 0.1, True), ("c", 4, 0.1, False),
    ]  # fmt: skip
    kind, question, p, correct = (list(column) for column in zip(*rows, strict=True))
    found = by_slice(
        np.array(p), np.array(correct), np.array(question), [str(one) for one in kind],
        resamples=100,
    )  # fmt: skip
    assert [one.name for one in found] == ["a", "b", "c", MACRO]
    assert all(set(one.figures) == {metric.name for metric in SLICED} for one in found)
    values = [one.figures["pair accuracy"].interval.value for one in found]
    assert values == [0.5, 1.0, None, 0.75]
    assert pair_accuracy(p, correct, question).value == pytest.approx(2 / 3), "by question instead"


@pytest.mark.slow
def test_pair_accuracy_counts_a_question_that_is_drawn_twice_as_two(
    calibrated: tuple[Floats, Bools, Ints],
) -> None:
    """Else each resample would average over fewer questions, and the interval be too wide."""
    p, correct, question = calibrated
    correct = np.arange(2000) % 2 == 0
    p = np.random.default_rng(1).random(2000)
    found = by_slice(p, correct, question, ["all"] * 2000, resamples=400)
    one, macro = (part.figures["pair accuracy"].interval for part in found)
    assert one == macro
    assert one.low is not None
    assert one.high is not None
    assert one.high - one.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(1000), rel=0.15)
