"""The events of a stream, however its bytes are cut."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.errors import ServerError
from ct_guard.serving import events as module
from ct_guard.serving.events import Event, event_of, events

STREAM = (
    b": a comment\n\n"
    b'data: {"choices": [{"delta": {"content": "\xc3\xa9"}}]}\r\n\r\n'
    b'event: note\ndata: {"a":\ndata: 1}\n\n'
    b"data: no json\n\n"
    b"data: [DONE]\n\n"
)


def read(parts: list[bytes]) -> list[Event]:
    async def given_parts() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    async def all_of_them() -> list[Event]:
        return [event async for event in events(given_parts())]

    return asyncio.run(all_of_them())


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_they_do_not_depend_on_where_the_stream_is_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    parts = [STREAM[one:other] for one, other in pairwise(places)]
    found = read(parts)
    assert b"".join(event.raw for event in found).replace(b"\n", b"") == STREAM.replace(b"\n", b"")
    chunks = [event.chunk for event in found if event.chunk is not None]
    assert chunks == [{"choices": [{"delta": {"content": "é"}}]}, {"a": 1}]
    assert [event.done for event in found][-1]


def test_a_last_event_without_its_blank_line_counts() -> None:
    (event,) = read([b'data: {"a": 1}'])
    assert event.chunk == {"a": 1}
    assert event.raw.endswith(b"\n\n")


def test_all_that_come_in_one_piece_are_told_by_the_last_of_them() -> None:
    found = read([b"data: 1\n\ndata: 2\n\ndata: ", b"3\n\n", b"data: 4\n\ndata: [DONE]\n\n"])
    assert [event.more for event in found] == [True, False, False, True, False]


def test_nothing_counts_behind_the_last() -> None:
    found = read([b"data: 1\n\ndata: [DONE]\n\ndata: 2\n\n", b"data: 3\n\n"])
    assert [event.done for event in found] == [False, True]


def test_what_is_written_is_read_again() -> None:
    (event,) = read([event_of({"said": "é\n\n\u2028"})])
    assert event.chunk == {"said": "é\n\n\u2028"}


def test_an_event_without_an_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    with pytest.raises(ServerError, match="longer than"):
        read([b"data: " + b"x" * 60] * 5)
