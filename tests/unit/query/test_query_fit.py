"""Cutting to a token budget: the query is never touched, the template and the answer's end stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.errors import UsageError
from ct_guard.query import fit


def ids(start: int, size: int) -> tuple[int, ...]:
    return tuple(range(start, start + size))


sizes = st.integers(0, 300)


@given(context=sizes, answer=st.integers(1, 300), room=st.integers(16, 400))
def test_never_above_the_room_and_cut_only_when_needed(
    context: int, answer: int, room: int
) -> None:
    before = ids(0, context), ids(1000, answer)
    *after, cut = fit(*before, room)
    assert cut == (context + answer > room)
    assert len(after[0]) + len(after[1]) == min(context + answer, room)
    if not cut:
        assert tuple(after) == before


@given(context=sizes, answer=st.integers(1, 300), room=st.integers(16, 400))
def test_both_ends_of_the_context_and_the_end_of_the_answer_are_kept(
    context: int, answer: int, room: int
) -> None:
    whole, said = ids(0, context), ids(1000, answer)
    kept, kept_answer, _ = fit(whole, said, room)
    assert kept_answer
    assert said[-len(kept_answer) :] == kept_answer
    tail = len(kept) // 2
    head = len(kept) - tail
    if len(kept) < len(whole):
        assert kept == whole[:head] + whole[len(whole) - tail :]
        assert min(head, tail) >= 4
    else:
        assert kept == whole


def test_the_context_gives_way_before_the_answer() -> None:
    context, answer, cut = fit(ids(0, 90), ids(1000, 50), 100)
    assert cut
    assert answer == ids(1000, 50)
    assert context == ids(0, 25) + ids(65, 25)


def test_an_answer_above_half_of_the_room_loses_its_beginning() -> None:
    context, answer, cut = fit(ids(0, 90), ids(1000, 90), 100)
    assert cut
    assert answer == ids(1040, 50)
    assert context == ids(0, 25) + ids(65, 25)


def test_a_short_context_leaves_its_share_to_the_answer() -> None:
    context, answer, cut = fit(ids(0, 10), ids(1000, 200), 100)
    assert cut
    assert context == ids(0, 10)
    assert answer == ids(1110, 90)


@pytest.mark.parametrize("room", [15, 0, -20])
def test_a_room_too_small_to_mean_anything_is_refused(room: int) -> None:
    with pytest.raises(UsageError, match="too small"):
        fit(ids(0, 90), ids(1000, 90), room)
