"""Brier, its parts, and log loss."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from ct_guard.errors import UsageError
from ct_guard.metrics import brier, log_loss, murphy_decomposition

relaxed = settings(deadline=None, max_examples=60)
rows = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


def columns(rows: list[tuple[float, bool]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    p, correct = zip(*rows, strict=True)
    return np.array(p), np.array(correct)


@relaxed
@given(rows, st.integers(1, 12))
def test_the_parts_add_up_to_the_brier_score(rows: list[tuple[float, bool]], bins: int) -> None:
    p, correct = columns(rows)
    parts = murphy_decomposition(p, correct, bins=bins)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bin
    assert total == pytest.approx(brier(p, correct), abs=1e-12)
    assert min(parts.reliability, parts.resolution, parts.uncertainty) >= 0


@relaxed
@given(rows)
def test_agrees_with_scikit_learn(rows: list[tuple[float, bool]]) -> None:
    p, correct = columns(rows)
    assert brier(p, correct) == pytest.approx(
        sklearn_metrics.brier_score_loss(correct, p, labels=[False, True], pos_label=True)
    )
    assert log_loss(p, correct) == pytest.approx(
        sklearn_metrics.log_loss(correct, p, labels=[False, True]), abs=1e-12
    )


@relaxed
@given(st.lists(st.booleans(), min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_the_base_rate_is_the_best_constant(correct: list[bool], other: float) -> None:
    base = np.full(len(correct), np.mean(correct))
    for score in (brier, log_loss):
        assert score(base, correct) <= score(np.full(len(correct), other), correct) + 1e-12


def test_by_hand() -> None:
    assert brier([1.0, 0.5, 0.0], [True, True, True]) == pytest.approx(1.25 / 3)
    assert log_loss([0.5, 0.5], [True, False]) == pytest.approx(math.log(2))
    # Two values of p in two bins: nothing is hidden by binning.
    parts = murphy_decomposition([0.25] * 4 + [0.75] * 4, [0, 0, 0, 1, 1, 1, 1, 1])
    assert parts.reliability == pytest.approx(0.25**2 / 2)
    assert parts.resolution == pytest.approx(0.375**2)
    assert parts.uncertainty == pytest.approx(5 / 8 * 3 / 8)
    assert parts.within_bin == pytest.approx(0)


def test_one_certain_and_wrong_row_has_a_finite_price() -> None:
    assert log_loss([1.0], [False]) == pytest.approx(36.04, abs=0.01)


def test_no_bins_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="bins"):
        murphy_decomposition([0.5], [True], bins=0)
