"""How long a server is waited for, and when it is left alone."""

import pytest

from ct_guard.backends.server.patience import Breaker, Patience
from ct_guard.errors import ServerError, UsageError


def test_waits_double_and_are_never_all_alike() -> None:
    patience = Patience(first_wait=1.0)
    for attempt, least in enumerate((1.0, 2.0, 4.0)):
        pauses = {patience.pause(attempt, 0.0) for _ in range(20)}
        assert len(pauses) > 1
        assert min(pauses) >= least
        assert max(pauses) <= 1.5 * least
    assert patience.pause(0, 10.0) >= 10.0


@pytest.mark.parametrize("bad", [{"total": 0}, {"read": float("inf")}, {"retries": -1}])
def test_values_out_of_range(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="give"):
        Patience(**bad)  # type: ignore[arg-type]


def test_after_a_rest_one_request_is_let_through_and_decides() -> None:
    now = [0.0]
    breaker = Breaker(most=2, rest=5.0, clock=lambda: now[0])
    breaker.failed()
    breaker.check()
    breaker.failed()
    with pytest.raises(ServerError, match="failed 2 times in a row"):
        breaker.check()
    now[0] = 5.1
    breaker.check()  # the one
    with pytest.raises(ServerError, match="left alone"):
        breaker.check()
    breaker.worked()
    breaker.check()
