"""A reply: made part by part, assessed on its cache, ended at any moment by anyone."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ct_guard.backends import KV, GenerationSettings, Item, ScoreBatch
from ct_guard.backends.conversations import Conversations
from ct_guard.errors import BackendError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.estimators.methods import make_method
from ct_guard.guard import Guard, Reply
from ct_guard.query import build_query
from ct_guard.records import QuestionAnswer
from ct_guard.store import BaseModelRef, Manifest
from ct_guard.testing import FakeBackend

ASKED = QuestionAnswer(question="What is 2 plus 2?", answer="")


class Watched(FakeBackend):
    """Notes what it scores, waits at a gate in the middle of an answer, and may fail there."""

    def __init__(self, reply: str = "It is 4.") -> None:
        super().__init__(reply=reply)
        self.items: list[Item] = []
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        self.fails = False

    def score(self, items: Any, *args: Any) -> ScoreBatch:
        self.items += items
        return super().score(items, *args)

    def logits(self, prompt: tuple[int, ...], answer: tuple[int, ...]) -> Any:
        if len(answer) == 3:
            self.waiting.set()
            self.gate.wait(10)
            if self.fails:
                raise BackendError("the engine failed")
        return super().logits(prompt, answer)


@pytest.fixture
def backend() -> Watched:
    return Watched()


@pytest.fixture
def guard(backend: Watched) -> Iterator[Guard]:
    manifest = Manifest(
        name="fake", method="query", base=BaseModelRef(id="fake-base"), style="chat_turn"
    )
    guard = Guard(
        Estimator(
            manifest=manifest,
            method=make_method(manifest),
            backend=backend,
            query=build_query("chat_turn", backend.encoder),
            adapter=None,
            fingerprint="f00d",
        )
    )
    yield guard
    guard.close()


@pytest.fixture
def conversations(backend: Watched) -> Conversations:
    return Conversations(backend, 2)


def reply(guard: Guard, conversations: Conversations, **settings: Any) -> Reply:
    return Reply(guard, conversations, ASKED, GenerationSettings(**{"max_tokens": 30, **settings}))


async def test_it_is_assessed_on_the_cache_of_its_making(
    guard: Guard, conversations: Conversations, backend: Watched
) -> None:
    with reply(guard, conversations) as one:
        assert "".join(one) == one.made.text == "It is 4."
        assessment = one.assess()
        assert assessment == await one.aassess()
    assert [item.context for item in backend.items] == [one.made.kv] * 2
    assert assessment == guard.assess(ASKED.model_copy(update={"answer": "It is 4."}))
    assert len(conversations) == 1


async def test_a_text_that_its_cache_does_not_hold_is_read_again(
    guard: Guard, conversations: Conversations, backend: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reply(guard, conversations) as one:
        one.finish()
        monkeypatch.setattr(backend.encoder, "decode", lambda ids: "as another tokenizer would")
        expected = guard.assess(ASKED.model_copy(update={"answer": "It is 4."}))
        assert one.assess() == await one.aassess() == expected
    assert not any(isinstance(item.context, KV) for item in backend.items)


def test_an_answer_that_was_left_is_kept_for_the_next_turn(
    guard: Guard, conversations: Conversations
) -> None:
    with reply(guard, conversations) as one:
        assert next(one) + next(one) == "It"
    assert list(one) == []
    assert len(conversations) == 1
    with reply(guard, conversations) as again:
        assert "".join(again) == "It is 4."
        assert again.made.prefilled_tokens == 1


def test_closing_waits_for_the_part_in_the_making_and_ends_the_answer(
    guard: Guard, conversations: Conversations, backend: Watched
) -> None:
    backend.gate.clear()
    one = reply(guard, conversations)
    making = threading.Thread(target=one.finish)
    making.start()
    assert backend.waiting.wait(10)
    closing = threading.Thread(target=one.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    backend.gate.set()
    for thread in (making, closing):
        thread.join(10)
        assert not thread.is_alive()
    assert len(one.made.ids) <= 4
    assert len(conversations) == 1
    one.close()
    assert len(conversations) == 1


def test_a_failure_is_the_callers_and_leaves_nothing_behind(
    guard: Guard, conversations: Conversations, backend: Watched
) -> None:
    backend.fails = True
    one = reply(guard, conversations)
    with pytest.raises(BackendError, match="the engine failed"):
        one.finish()
    one.close()
    assert len(conversations) == 0
    backend.fails = False
    with reply(guard, conversations) as again:
        assert "".join(again) == "It is 4."


def test_a_cache_that_cannot_be_completed_at_closing_is_not_kept(
    guard: Guard, conversations: Conversations, backend: Watched
) -> None:
    one = reply(guard, conversations)
    next(one)
    backend.close()
    one.close()
    assert len(conversations) == 0


def test_a_conversation_without_room_for_an_answer_is_refused(
    guard: Guard, conversations: Conversations
) -> None:
    long = ASKED.model_copy(update={"question": "why " * 1100})
    with pytest.raises(UsageError, match="leaves no room for an answer"):
        Reply(guard, conversations, long, GenerationSettings(max_tokens=4))


def test_settings_are_checked(guard: Guard, conversations: Conversations) -> None:
    with pytest.raises(UsageError, match="top_p 2"):
        reply(guard, conversations, top_p=2)
