"""Chunks follow the clock: small for a slow model, large for a fast one, never long."""

from itertools import accumulate, pairwise

import pytest

from ct_guard.workflows.runs.pace import AIM_SECONDS, LIMIT_SECONDS, Pace


def chunks(seconds_a_row: float, count: int, *, most: int = 1024) -> list[int]:
    pace, sizes = Pace(most), []
    for _ in range(count):
        sizes.append(pace.rows)
        pace.took(pace.rows * seconds_a_row, rows=pace.rows)
    return sizes


def test_a_fast_model_soon_has_full_chunks() -> None:
    assert chunks(1e-4, 7) == [1, 4, 16, 64, 256, 1024, 1024]


@pytest.mark.parametrize("seconds", [0.01, 0.3, 1.0, 5.0, 11.0])
def test_chunks_settle_within_the_aim_and_the_limit(seconds: float) -> None:
    sizes = chunks(seconds, 12)
    assert AIM_SECONDS / 2 <= sizes[-1] * seconds <= LIMIT_SECONDS
    assert sizes[-1] == sizes[-2]


def test_a_row_that_takes_longer_than_the_limit_is_a_chunk_of_its_own() -> None:
    assert chunks(100.0, 3) == [1, 1, 1]


def test_no_chunk_is_more_than_four_times_the_one_before() -> None:
    sizes = chunks(1e-6, 12)
    assert all(after <= 4 * before for before, after in pairwise(sizes))
    assert list(accumulate(sizes, max)) == sizes


def test_a_model_that_slows_down_gets_smaller_chunks_at_once() -> None:
    pace = Pace(1024)
    pace.took(AIM_SECONDS, rows=600)
    pace.took(10 * AIM_SECONDS, rows=600)
    assert pace.rows == 60


def test_long_texts_end_a_chunk_before_its_rows_do() -> None:
    """Rows of 100 characters took a second a hundred: of rows of 10,000 one takes as long."""
    pace = Pace(1024)
    pace.took(1.0, rows=100, text=10_000)
    assert pace.rows == 400
    assert pace.text == 40_000


def test_a_chunk_that_ended_early_says_nothing_against_larger_ones() -> None:
    pace = Pace(1024)
    pace.took(1.0, rows=500, text=5_000)
    pace.took(1.0, rows=3, text=30_000)
    assert pace.rows == 1024
    assert pace.text == 120_000


def test_rows_that_no_model_read_say_nothing_of_its_rate() -> None:
    pace = Pace(1024)
    pace.took(1e-6, rows=0)
    assert (pace.rows, pace.text) == (1, None)


def test_what_is_under_way_together_is_not_cut() -> None:
    pace = Pace(64, least=8)
    assert pace.rows == 8
    pace.took(100.0, rows=8)
    assert pace.rows == 8
    assert Pace(4, least=8).rows == 4
