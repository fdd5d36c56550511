"""Which caches are kept, which lend their beginning, and which are released when."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ct_guard.backends import KV, Generation, GenerationSettings
from ct_guard.backends.conversations import Conversations
from ct_guard.backends.decoding import exhausted
from ct_guard.testing import FakeBackend


class Counting(FakeBackend):
    """Counts its live caches, and may bound their tokens."""

    def __init__(self, live_tokens: int | None = None) -> None:
        super().__init__(reply="fine.")
        self.capabilities = replace(type(self).capabilities, live_tokens=live_tokens)
        self.released: list[KV] = []

    def release(self, kv: KV) -> None:
        self.released.append(kv)
        super().release(kv)


@pytest.fixture
def backend() -> Counting:
    return Counting()


def say(conversations: Conversations, text: str | Sequence[int], **settings: Any) -> Generation:
    prompt = list(text.encode()) if isinstance(text, str) else text
    made = exhausted(
        conversations.stream(prompt, GenerationSettings(**{"max_tokens": 20, **settings}))
    )
    assert made.kv is not None
    conversations.keep(made.kv)
    return made


def test_the_next_turn_goes_on_from_the_last(backend: Counting) -> None:
    conversations = Conversations(backend, 2)
    first = say(conversations, "one?")
    assert first.cached_tokens == 0
    second = say(conversations, "one?fine. two?")
    assert second.cached_tokens == len("one?fine.")
    assert len(conversations) == 1
    assert backend.released == [first.kv]


def test_the_closest_conversation_lends_its_beginning_and_stays(backend: Counting) -> None:
    conversations = Conversations(backend, 3)
    say(conversations, "system. Who?")
    other = say(conversations, "else")
    made = say(conversations, "system. What?")
    assert made.cached_tokens == len("system. Wh")
    assert len(conversations) == 3
    assert say(conversations, "system. Who?fine. And?").cached_tokens == len("system. Who?fine.")
    assert other.kv not in backend.released


def test_the_oldest_are_released(backend: Counting) -> None:
    conversations = Conversations(backend, 2)
    made = [say(conversations, text) for text in ("a?", "b?", "c?")]
    assert backend.released == [made[0].kv]
    say(conversations, "b?fine. more")
    say(conversations, "d?")
    assert made[2].kv in backend.released
    assert len(conversations) == 2


def test_the_same_prompt_again_is_read_from_the_cache_and_kept_once(backend: Counting) -> None:
    conversations = Conversations(backend, 2)
    first, again = say(conversations, "one?"), say(conversations, "one?")
    assert again.cached_tokens == len("one?") - 1
    assert backend.released == [again.kv]
    assert len(conversations) == 1
    say(conversations, "two?")
    say(conversations, "one?")
    say(conversations, "three?")
    assert first.kv not in backend.released


def test_none_are_kept_where_none_are_wanted(backend: Counting) -> None:
    conversations = Conversations(backend, 0)
    first, second = say(conversations, "one?"), say(conversations, "one?")
    assert second.cached_tokens == 0
    assert backend.released == [first.kv, second.kv]


def test_clear_releases_all(backend: Counting) -> None:
    conversations = Conversations(backend, 4)
    made = [say(conversations, text) for text in ("a", "b", "c")]
    conversations.clear()
    assert backend.released == [one.kv for one in made]
    assert len(conversations) == 0
    assert say(conversations, "a").cached_tokens == 0


# --- where the backend bounds its live tokens -----------------------------------------------------


def test_caches_make_way_for_the_answer_and_two_ways_of_scoring_it() -> None:
    backend = Counting(live_tokens=90)
    conversations = Conversations(backend, 9, reserve=10)
    first = say(conversations, "a" * 10, max_tokens=5)
    second = say(conversations, "b" * 10, max_tokens=5)
    third = say(conversations, "c" * 10, max_tokens=10)
    assert backend.released == []  # 15 + 15 live, twice 10 + 10 + 10 wanted: just fits
    say(conversations, "d" * 6, max_tokens=5)
    assert backend.released == []
    say(conversations, "e" * 10, max_tokens=5)
    assert backend.released == [first.kv, second.kv]
    assert third.kv not in backend.released


def test_the_cache_that_goes_on_makes_way_last() -> None:
    backend = Counting(live_tokens=60)
    conversations = Conversations(backend, 9)
    first = say(conversations, "a" * 10, max_tokens=5)
    assert first.kv is not None
    other = say(conversations, "b" * 10, max_tokens=5)
    made = say(conversations, first.kv.ids + (65,) * 5, max_tokens=10)
    assert backend.released[0] is other.kv
    assert made.cached_tokens == 15


def test_a_cache_that_leaves_no_room_is_released_once_the_stream_has_its_beginning() -> None:
    backend = Counting(live_tokens=70)
    conversations = Conversations(backend, 9)
    first = say(conversations, "a" * 20, max_tokens=5)
    stream = conversations.stream([97] * 12 + [98] * 8, GenerationSettings(max_tokens=10))
    assert backend.released == [first.kv]
    assert exhausted(stream).cached_tokens == 12


# --- threads --------------------------------------------------------------------------------------


def test_threads_share_the_caches(backend: Counting) -> None:
    conversations = Conversations(backend, 3)
    wrong: list[str] = []

    def chat(name: int) -> None:
        text = f"{name}: hello?"
        for _ in range(20):
            made = say(conversations, text)
            if made.text != "fine.":
                wrong.append(made.text)
            text += made.text + " more?"

    threads = [threading.Thread(target=chat, args=(name,)) for name in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(conversations) == 3
    assert len(backend.released) == 97
    assert len(set(map(id, backend.released))) == 97
