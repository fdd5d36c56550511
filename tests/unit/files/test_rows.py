"""What every format says of rows."""

import gc
from collections.abc import Iterator

import pytest

from ct_guard.files import many_rows


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[tuple[int, int, int]]:
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)


def test_python_looks_for_cycles_more_rarely_while_rows_go_through(
    thresholds: tuple[int, int, int],
) -> None:
    with many_rows():
        assert gc.get_threshold()[0] > 10_000
        with pytest.raises(OSError, match="full"), many_rows():
            raise OSError("full")
        assert gc.get_threshold()[0] > 10_000
    assert gc.get_threshold() == thresholds


def test_who_looks_never_goes_on_doing_so() -> None:
    gc.set_threshold(0)
    with many_rows():
        assert gc.get_threshold()[0] == 0
