"""The promise about fields, whose answers are independent and whose fields need not be."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ct_guard.errors import UsageError
from ct_guard.risk import certify_fields

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def sample(rng: np.random.Generator, n: int, m: int = 5) -> tuple[Floats, Bools, Ints]:
    """Fields of an answer share half of what makes them right."""
    shared = rng.normal(size=n)[:, None]
    logit = 2 + shared + rng.normal(size=(n, m))
    p = 1 / (1 + np.exp(-logit))
    correct = rng.random((n, m)) < p
    return p.ravel(), correct.ravel(), np.repeat(np.arange(n), m)


def test_the_claim_fails_no_oftener_than_promised() -> None:
    rng = np.random.default_rng(0)
    p, correct, _ = sample(rng, 20_000)
    failed = 0
    for _ in range(60):
        found = certify_fields(*sample(rng, 250), alpha=0.1, delta=0.1)
        if found.threshold is not None:
            failed += float((~correct[p >= found.threshold]).mean()) > 0.1
    assert failed <= 6


def test_fields_that_are_wrong_together_count_as_one_draw() -> None:
    """All fields of an answer are copies of one another: a test of fields would certify what a test
    of answers cannot."""
    answers = np.repeat(np.arange(40), 10)
    p = np.full(400, 0.95)
    found = certify_fields(p, np.ones(400, bool), answers, alpha=0.05, delta=0.1)
    assert found.threshold is None
    assert "grade more" in found.reason
    many = np.repeat(np.arange(400), 10)
    found = certify_fields(np.full(4000, 0.95), np.ones(4000, bool), many, alpha=0.05, delta=0.1)
    assert (found.threshold, found.n, found.filled) == (0.0, 400, 4000)


def test_counts_are_those_of_the_threshold() -> None:
    p, correct, answers = sample(np.random.default_rng(1), 1000)
    found = certify_fields(p, correct, answers, alpha=0.1, delta=0.1)
    assert found.threshold is not None
    assert found.filled == np.count_nonzero(p >= found.threshold)
    assert found.errors == np.count_nonzero(~correct[p >= found.threshold])
    assert (found.fields, found.n) == (5000, 1000)
    assert found.coverage == found.filled / 5000


def test_wrong_shapes_and_shares_are_refused() -> None:
    with pytest.raises(UsageError, match="number of its answer"):
        certify_fields([0.5, 0.6], [True, False], [0])
    with pytest.raises(UsageError, match="alpha"):
        certify_fields([0.5], [True], [0], alpha=1.0)
