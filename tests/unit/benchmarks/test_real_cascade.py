"""Cascades of real models, on made-up answers: what is counted on the test questions."""

import numpy as np
import pytest

from benchmarks.real.cascade import CASCADE, CHEAP, DEAR, Shared, _tested, resplit
from tests.present import present


def test_errors_and_calls_are_those_of_the_test_questions() -> None:
    shared = Shared(
        np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.4]]),
        np.array([[True, False], [False, False], [True, True]]),
    )
    rows = np.arange(3)
    answered, wrong, calls = present(_tested(shared, rows, [(0, 0.5), (1, 0.75)]))
    assert (answered, calls) == pytest.approx((2 / 3, 2 / 3))
    assert wrong == 0.5
    answered, wrong, calls = present(_tested(shared, rows, [(1, 0.0)]))
    assert (answered, calls) == (1.0, 1.0)
    assert wrong == pytest.approx(2 / 3)
    assert _tested(shared, rows, None) is None


def test_a_cascade_spares_calls_where_the_cheap_model_is_often_sure() -> None:
    rng = np.random.default_rng(0)
    sure = rng.random(900) < 0.6
    p = np.column_stack([np.where(sure, 0.97, 0.3), np.full(900, 0.97)])
    found = resplit(Shared(p, rng.random((900, 2)) < p), alpha=0.1, splits=5)
    dear, cascade = found[DEAR], found[CASCADE.format(10)]
    assert dear.certified == cascade.certified == 5
    assert dear.calls == 1.0
    assert cascade.calls == pytest.approx(0.4, abs=0.05)
    assert cascade.coverage == pytest.approx(1.0)
    assert found[CHEAP].calls == 0.0
