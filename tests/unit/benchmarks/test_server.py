"""The client's cost is measured against the same requests by hand; here, a small round of it."""

import pytest

from benchmarks.server import measure


@pytest.mark.slow
def test_both_ways_answer_every_request_and_cost_about_the_same() -> None:
    ours, bare = measure(rows=60, rounds=2, concurrency=4)
    assert len(ours.rates) == len(bare.rates) == 2
    assert min(ours.processor) < 3 * max(bare.processor)
