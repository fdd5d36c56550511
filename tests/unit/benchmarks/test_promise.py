"""How often a certificate's promise is broken, where the truth is known."""

import numpy as np
import pytest

from benchmarks.world import promise
from ct_guard.risk import certify

ALPHA, DELTA = 0.1, 0.1


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promise, "DRAWS", 200)


def test_a_perfect_ranking_never_breaks_it() -> None:
    correct = np.arange(2000) % 2 == 0
    assert promise.share_broken(correct * 0.9, correct, 300, ALPHA, DELTA) == 0.0


def test_answers_at_the_border_break_it_as_seldom_as_promised() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1.0, 4000)
    correct = rng.random(4000) < p
    broken = promise.share_broken(p, correct, 800, ALPHA, DELTA)
    assert broken <= DELTA + 3 * np.sqrt(DELTA * (1 - DELTA) / 200)


def test_a_threshold_that_ignores_the_draw_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Above 0.7, 15% are wrong: a procedure that always says 0.7 breaks the promise each time."""
    rng = np.random.default_rng(1)
    p = rng.uniform(0.5, 1.0, 4000)
    correct = rng.random(4000) < p
    monkeypatch.setattr(
        promise,
        "certify",
        lambda *given, **options: certify(*given, **options).model_copy(update={"threshold": 0.7}),
    )
    assert promise.share_broken(p, correct, 800, ALPHA, DELTA) == 1.0
