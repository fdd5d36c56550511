"""The token loop over readers of a kind that the real backends are only at times."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from ct_guard.backends import GenerationSettings
from ct_guard.backends.decoding import AnswerStream, common_prefix, exhausted
from ct_guard.errors import BackendError, UsageError
from ct_guard.testing import FakeEncoder

PROMPT = tuple(b"Q?")
PARTS = ["", "It", " is", " fo", "ur.\n", "\nNext"]
"""Token n says part n, and n + 1 follows it; 0 ends an answer."""


class Words(FakeEncoder):
    """Words as tokens, single characters as those beyond them."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return [100 + ord(char) for char in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(PARTS[token] if token < 100 else chr(token - 100) for token in ids)


class Counting:
    """A reader that says one part after the other, and notes what it has to read."""

    def __init__(self, *, forgets: bool = False, fails_at: int | None = None) -> None:
        self.ids: tuple[int, ...] = ()
        self.reads: list[tuple[int, ...]] = []
        self.dropped = 0
        self._forgets, self._fails_at = forgets, fails_at

    def read(self, ids: Sequence[int]) -> NDArray[np.float32]:
        if len(self.reads) == self._fails_at:
            raise BackendError("the engine failed")
        assert ids, "a model cannot read nothing"
        self.reads.append(tuple(ids))
        self.ids = (*self.ids, *ids)
        logits = np.zeros(300, np.float32)
        logits[(self.ids[-1] + 1) % len(PARTS) if self.ids[-1] < len(PARTS) else 1] = 20
        return logits

    def cut(self, length: int) -> None:
        self.ids = () if self._forgets else self.ids[:length]

    def keep(self) -> str:
        return "kept"

    def drop(self) -> None:
        self.dropped += 1


def stream(reader: Counting, *stop: str, most: int = 20) -> AnswerStream:
    return AnswerStream(
        reader, PROMPT, GenerationSettings(most, stop=stop), encoder=Words(), ends={0}
    )


def test_an_answer_that_ends_by_itself_reads_every_token_once() -> None:
    reader = Counting()
    made = exhausted(stream(reader))
    assert (made.text, made.ids, made.finish) == ("It is four.\n\nNext", (1, 2, 3, 4, 5), "stop")
    assert reader.reads == [PROMPT, (1,), (2,), (3,), (4,), (5,)]
    assert made.kv is not None
    assert made.kv.ids == reader.ids == (*PROMPT, *made.ids)


def test_the_last_token_is_read_for_the_cache() -> None:
    reader = Counting()
    made = exhausted(stream(reader, most=2))
    assert (made.ids, made.finish) == ((1, 2), "length")
    assert reader.reads == [PROMPT, (1,), (2,)]


@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize(
    ("stop", "text", "ids"),
    [
        ("ur", "It is fo", (1, 2, 3)),
        ("\n\n", "It is four.", (1, 2, 3, *Words().encode("ur."))),
        ("four", "It is ", (1, 2, *Words().encode(" "))),
        ("It", "", ()),
        ("t", "I", tuple(Words().encode("I"))),
    ],
)
def test_a_stop_string_leaves_ids_that_say_the_text(
    forgets: bool, stop: str, text: str, ids: tuple[int, ...]
) -> None:
    """In a cache that goes back, and in one that has to begin again."""
    reader = Counting(forgets=forgets)
    made = exhausted(stream(reader, stop))
    assert (made.text, made.ids, made.finish) == (text, ids, "stop")
    assert made.kv is not None
    assert made.kv.ids == reader.ids == (*PROMPT, *ids)
    assert made.logprobs.shape == (len(ids),)
    if not forgets:
        assert sum(map(len, reader.reads)) <= len(PROMPT) + 9


def test_no_more_tokens_than_were_asked_for_even_behind_a_stop_string() -> None:
    made = exhausted(stream(Counting(), "r", most=4))
    assert made.text == "It is fou"
    assert made.ids == (1, 2, 3, *Words().encode("u"))
    short = exhausted(stream(Counting(), "\n", most=4))
    assert short.text == "It is four."
    assert len(short.ids) == 4


def test_what_waits_for_its_text_is_not_kept_when_the_stream_is_closed() -> None:
    reader = Counting()
    answer = stream(reader, " is four!")
    assert next(answer).text == "It"
    answer.close()
    assert answer.result.ids == (1,)
    assert reader.ids == (*PROMPT, 1)
    early = stream(reader := Counting(), "\n\nNext!")
    pieces = [next(early) for _ in range(3)]
    assert [piece.text for piece in pieces] == ["It", " is", " fo"]
    assert next(early, None) is not None
    early.close()
    assert early.result.kv is not None
    assert early.result.kv.ids == reader.ids == (*PROMPT, *early.result.ids)


@pytest.mark.parametrize("fails_at", [0, 2])
def test_an_error_frees_what_was_read(fails_at: int) -> None:
    reader = Counting(fails_at=fails_at)
    answer = stream(reader)
    with pytest.raises(BackendError, match="the engine failed"):
        list(answer)
    answer.close()
    assert reader.dropped == 1
    with pytest.raises(UsageError, match="no result"):
        _ = answer.result


def test_an_error_while_closing_frees_it_too() -> None:
    reader = Counting(fails_at=1)
    answer = stream(reader)
    next(answer)
    with pytest.raises(BackendError, match="the engine failed"):
        answer.close()
    answer.close()
    assert reader.dropped == 1


def test_common_prefix() -> None:
    assert common_prefix((1, 2, 3), (1, 2, 4)) == 2
    assert common_prefix((1, 2), (1, 2, 4)) == common_prefix((1, 2, 4), (1, 2)) == 2
    assert common_prefix((), (1,)) == common_prefix((2,), (1,)) == 0
