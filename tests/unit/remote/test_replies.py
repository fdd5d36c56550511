"""Replies of any size, and what servers ask for."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from ct_guard.remote import MOST_BYTES, bounded, one_line, retry_after


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7.0, 7.0),
        ("0.5", 0.5, 0.5),
        (None, 0.0, 0.0),
        ("soon", 0.0, 0.0),
        ("-3", 0.0, 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0, 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, least: float, most: float) -> None:
    assert least <= retry_after(header) <= most


def test_a_date_to_come_is_as_many_seconds_away() -> None:
    header = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3500.0 <= retry_after(header) <= 3600.0


async def body_of(response: httpx.Response) -> bytes | None:
    transport = httpx.MockTransport(lambda _: response)
    async with (
        httpx.AsyncClient(transport=transport) as client,
        client.stream("GET", "http://test/") as streamed,
    ):
        return await bounded(streamed)


async def test_a_body_is_read_up_to_the_limit() -> None:
    assert await body_of(httpx.Response(200, content=b"{}")) == b"{}"
    assert await body_of(httpx.Response(200, content=b"a" * (MOST_BYTES + 1))) is None

    async def pieces():  # type: ignore[no-untyped-def]
        for _ in range(20):
            yield b"a" * (1 << 20)

    assert await body_of(httpx.Response(200, content=pieces())) is None


def test_what_is_shown_is_one_short_line_that_no_terminal_acts_on() -> None:
    assert one_line(b"a\x1b[2J\n\tb \xff" + b"c" * 1000).startswith("a [2J b \ufffdccc")
    assert len(one_line(b"c" * 1000)) == 200
