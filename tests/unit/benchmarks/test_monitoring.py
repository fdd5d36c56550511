"""What the simulation of monitors says, in small; the figures are in benchmarks/RESULTS.md."""

import numpy as np
import pytest

from benchmarks import monitoring
from benchmarks.monitoring import DISTRIBUTIONS, Found, false_alarms, risk_delays, shift_delays
from ct_guard.monitoring import FALSE_ALARM


@pytest.mark.parametrize("scores", DISTRIBUTIONS)
def test_quiet_streams_alarm_as_seldom_as_stated(scores: str) -> None:
    found = false_alarms(
        DISTRIBUTIONS[scores], sample=200, scores=400, labels=1000, alpha=0.1, streams=60
    )
    assert found.any <= found.most(FALSE_ALARM)
    assert found.any >= max(found.shares.values())


def test_a_test_that_is_looked_at_too_often_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that rejects at a twentieth of the evidence."""
    monkeypatch.setattr(monitoring, "limit", lambda rate: -np.log(rate) / 20)
    found = false_alarms(
        DISTRIBUTIONS["normal logits"], sample=200, scores=400, labels=400, alpha=0.1, streams=30
    )
    assert found.any > found.most(FALSE_ALARM)


def test_a_risk_that_doubles_is_found_within_500_labels() -> None:
    found = Found.of(risk_delays(0.1, 0.1, 0.2, quiet=300, streams=60))
    assert found.share >= 0.9
    assert found.tenth <= 500


@pytest.mark.parametrize("shift", [-0.6, 0.6])
def test_a_shift_in_the_logit_is_found_within_1000_scores(shift: float) -> None:
    found = Found.of(shift_delays(shift, sd=1.5, sample=1000, quiet=0, streams=20))
    assert found.share >= 0.9
    assert found.median <= 400


def test_delays_are_told_with_what_was_never_found() -> None:
    found = Found.of(np.array([3.0, 5.0, np.nan, np.inf]))
    assert found == (2 / 3, 5.0, np.inf)
    assert found.cells == ["66.7%", "5", "not found"]
