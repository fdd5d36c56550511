"""What every backend promises of an answer that is made piece by piece."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ct_guard.backends import (
    KV,
    Adapter,
    Backend,
    Generation,
    GenerationSettings,
    Item,
    Stream,
    Want,
)
from ct_guard.errors import BackendError, UsageError
from ct_guard.query import build_query

LIKELIHOOD: frozenset[Want] = frozenset({"labels", "answer_logprobs"})
TOLERANCE = 1e-4
SAMPLED = {"temperature": 1.3, "top_p": 0.9, "seed": 4}


def prompt(backend: Backend, text: str = "Question: What is 2 plus 2?\nAnswer:") -> tuple[int, ...]:
    return tuple(backend.encoder.encode("<|begin|>", special=True) + backend.encoder.encode(text))


def exhaust(stream: Stream) -> Generation:
    for _ in stream:
        pass
    return stream.result


def kv_of(made: Generation) -> KV:
    assert made.kv is not None
    return made.kv


def assert_scores_as_cold(backend: Backend, kv: KV, adapter: Adapter | None = None) -> None:
    query = build_query("raw", backend.encoder)
    cold = Item(kv.ids[: kv.answer_start], kv.ids[kv.answer_start :])
    warm, fresh = (
        backend.score([item], query, adapter, LIKELIHOOD) for item in (Item(kv, ()), cold)
    )
    assert warm.label_logits is not None
    assert warm.answer_logprobs is not None
    assert fresh.answer_logprobs is not None
    assert fresh.label_logits is not None
    np.testing.assert_allclose(warm.label_logits, fresh.label_logits, atol=TOLERANCE)
    np.testing.assert_allclose(warm.answer_logprobs[0], fresh.answer_logprobs[0], atol=TOLERANCE)
    assert warm.prefilled_tokens.tolist() == [len(query.ids)]


# --- pieces and results --------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_the_pieces_are_the_result(backend: Backend, settings: dict[str, Any]) -> None:
    stream = backend.stream(prompt(backend), GenerationSettings(max_tokens=14, **settings))
    pieces = list(stream)
    made = stream.result
    assert tuple(piece.id for piece in pieces) == made.ids
    assert "".join(piece.text for piece in pieces) == made.text == backend.encoder.decode(made.ids)
    np.testing.assert_allclose([piece.logprob for piece in pieces], made.logprobs, atol=1e-6)
    assert made.logprobs.dtype == np.float32
    assert kv_of(made).ids == (*prompt(backend), *made.ids)
    assert kv_of(made).answer_start == len(prompt(backend))
    assert (made.cached_tokens, made.prefilled_tokens) == (0, len(prompt(backend)))
    assert list(stream) == []


@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_one_answer_is_the_same_streamed_or_whole(
    backend: Backend, settings: dict[str, Any]
) -> None:
    streamed = exhaust(
        backend.stream(prompt(backend), GenerationSettings(max_tokens=14, **settings))
    )
    whole = backend.generate([prompt(backend)], GenerationSettings(max_tokens=14, **settings))[0]
    assert (whole.ids, whole.text, whole.finish) == (streamed.ids, streamed.text, streamed.finish)
    np.testing.assert_allclose(whole.logprobs, streamed.logprobs, atol=TOLERANCE)


def test_greedy_is_what_a_batch_says(backend: Backend) -> None:
    prompts = [prompt(backend, text) for text in ("Q: one?", "A much longer question: two?")]
    for one, other in zip(
        backend.generate(prompts, GenerationSettings(max_tokens=8)),
        [exhaust(backend.stream(asked, GenerationSettings(max_tokens=8))) for asked in prompts],
        strict=True,
    ):
        assert (one.ids, one.text, one.finish) == (other.ids, other.text, other.finish)


def test_the_answer_ends_at_max_tokens(backend: Backend) -> None:
    made = exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=3)))
    assert len(made.ids) == 3
    assert made.finish == "length"


def test_a_seed_decides(backend: Backend) -> None:
    def sample(seed: int) -> tuple[int, ...]:
        return exhaust(
            backend.stream(
                prompt(backend), GenerationSettings(max_tokens=10, temperature=1.5, seed=seed)
            )
        ).ids

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_the_cache_scores_as_the_same_ids_cold(
    backend: Backend, tiny_adapter: Path, settings: dict[str, Any]
) -> None:
    """Log-probabilities are those of the base model at temperature 1, however it was sampled."""
    kv = kv_of(
        exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=10, **settings)))
    )
    for adapter in (None, Adapter("acts-on-query", tiny_adapter, "query")):
        assert_scores_as_cold(backend, kv, adapter)


def test_there_is_no_result_before_the_end(backend: Backend) -> None:
    stream = backend.stream(prompt(backend), GenerationSettings(max_tokens=4))
    next(stream)
    with pytest.raises(UsageError, match="no result"):
        _ = stream.result
    stream.close()
    assert len(stream.result.ids) == 1


def test_the_longest_sequence_fits_what_all_caches_hold(backend: Backend) -> None:
    most = backend.capabilities.live_tokens
    assert most is None or most >= backend.max_tokens


# --- stop strings --------------------------------------------------------------------------------


def stops(text: str) -> list[str]:
    """Parts of a text, from one character up, that begin at several places."""
    return [text[at : at + size] for at in (0, 1, 4, 7) for size in (1, 2, 5)]


def test_a_stop_string_ends_the_answer_before_it(backend: Backend) -> None:
    """Also where it begins inside a token: ids, text and cache say the same all the same."""
    free = exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=14)))
    for stop in [mark for mark in stops(free.text) if "\ufffd" not in mark]:
        stream = backend.stream(
            prompt(backend), GenerationSettings(max_tokens=14, stop=["never said", stop])
        )
        pieces = list(stream)
        made = stream.result
        assert made.text == free.text[: free.text.index(stop)] == backend.encoder.decode(made.ids)
        assert "".join(piece.text for piece in pieces) == made.text
        assert made.finish == "stop"
        assert kv_of(made).ids == (*prompt(backend), *made.ids)
        if made.ids:
            assert_scores_as_cold(backend, kv_of(made))


def test_a_stop_string_that_only_begins_changes_nothing(backend: Backend) -> None:
    free = exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=14)))
    held = exhaust(
        backend.stream(
            prompt(backend),
            GenerationSettings(max_tokens=14, stop=["", free.text[-2:] + "\0", "\0"]),
        )
    )
    assert (held.ids, held.text, held.finish) == (free.ids, free.text, free.finish)


# --- going on ------------------------------------------------------------------------------------


def test_a_second_turn_reads_only_what_is_new(backend: Backend) -> None:
    first = exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=8)))
    asked = (*kv_of(first).ids, *backend.encoder.encode(" And 3 plus 3?"))
    warm = exhaust(backend.stream(asked, GenerationSettings(max_tokens=8), past=first.kv))
    cold = exhaust(backend.stream(asked, GenerationSettings(max_tokens=8)))
    assert warm.cached_tokens == len(kv_of(first).ids)
    assert warm.prefilled_tokens == len(asked) - warm.cached_tokens
    assert (warm.ids, warm.text) == (cold.ids, cold.text)
    np.testing.assert_allclose(warm.logprobs, cold.logprobs, atol=TOLERANCE)
    assert_scores_as_cold(backend, kv_of(warm))


@pytest.mark.parametrize("kept", [1, 7, 1000])
def test_any_common_beginning_is_reused(backend: Backend, kept: int) -> None:
    """A shorter one, as when a turn was edited; or the very same prompt, asked again."""
    first = exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=8)))
    asked = prompt(backend)[:kept]
    if kept < 1000:
        other = next(
            token for token in backend.encoder.encode("xyz") if token != prompt(backend)[kept]
        )
        asked = (*asked, other, *backend.encoder.encode(" else"))
    warm = exhaust(backend.stream(asked, GenerationSettings(max_tokens=8), past=first.kv))
    cold = exhaust(backend.stream(asked, GenerationSettings(max_tokens=8)))
    assert warm.cached_tokens == min(kept, len(asked) - 1)
    assert warm.cached_tokens + warm.prefilled_tokens == len(asked)
    assert warm.ids == cold.ids


def test_nothing_in_common_is_a_cold_start(backend: Backend) -> None:
    first = exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=4)))
    asked = tuple(backend.encoder.encode("zzz"))
    made = exhaust(backend.stream(asked, GenerationSettings(max_tokens=4), past=first.kv))
    assert (made.cached_tokens, made.prefilled_tokens) == (0, len(asked))


def test_scoring_in_between_is_never_noticed(backend: Backend, tiny_adapter: Path) -> None:
    query = build_query("raw", backend.encoder)
    adapter = Adapter("acts-on-query", tiny_adapter, "query")
    made = [
        exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=8))) for _ in range(2)
    ]
    backend.score([Item(kv_of(made[0]), ())], query, adapter, LIKELIHOOD)
    asked = (*kv_of(made[0]).ids, *backend.encoder.encode(" Why?"))
    scored, plain = (
        exhaust(backend.stream(asked, GenerationSettings(max_tokens=10), past=one.kv))
        for one in made
    )
    assert scored.ids == plain.ids
    assert scored.cached_tokens == plain.cached_tokens == len(kv_of(made[0]).ids)
    np.testing.assert_allclose(scored.logprobs, plain.logprobs, atol=TOLERANCE)


def test_one_cache_serves_several_continuations_and_stays_as_it_was(backend: Backend) -> None:
    first = exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=6)))
    kv = kv_of(first)
    ways = [(*kv.ids, *backend.encoder.encode(text)) for text in (" one", " two", " three")]
    warm = [
        exhaust(backend.stream(asked, GenerationSettings(max_tokens=6), past=kv)) for asked in ways
    ]
    cold = [exhaust(backend.stream(asked, GenerationSettings(max_tokens=6))) for asked in ways]
    assert [made.ids for made in warm] == [made.ids for made in cold]
    assert_scores_as_cold(backend, kv)


def test_a_cache_may_be_released_once_a_stream_goes_on_from_it(backend: Backend) -> None:
    kv = kv_of(exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=6))))
    asked = (*kv.ids, *backend.encoder.encode(" one"))
    stream = backend.stream(asked, GenerationSettings(max_tokens=6), past=kv)
    backend.release(kv)
    assert (
        exhaust(stream).ids == exhaust(backend.stream(asked, GenerationSettings(max_tokens=6))).ids
    )
    assert stream.result.cached_tokens == len(asked) - len(backend.encoder.encode(" one"))


# --- stopping early, and at the same time --------------------------------------------------------


def test_a_closed_stream_keeps_what_came_out(backend: Backend) -> None:
    whole = exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=10)))
    stream = backend.stream(prompt(backend), GenerationSettings(max_tokens=10))
    pieces = [next(stream) for _ in range(4)]
    stream.close()
    stream.close()
    made = stream.result
    assert made.ids == tuple(piece.id for piece in pieces) == whole.ids[:4]
    assert made.finish == "length"
    assert kv_of(made).ids == (*prompt(backend), *made.ids)
    assert_scores_as_cold(backend, kv_of(made))
    assert list(stream) == []
    assert (
        exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=10))).ids == whole.ids
    )


def test_a_stream_that_never_began_has_read_nothing(backend: Backend) -> None:
    stream = backend.stream(prompt(backend), GenerationSettings(max_tokens=10))
    stream.close()
    assert (stream.result.ids, stream.result.text, stream.result.kv) == ((), "", None)


def test_two_streams_take_turns(backend: Backend) -> None:
    prompts = [prompt(backend, text) for text in ("Q: one?", "Q: two?")]
    alone = [
        exhaust(backend.stream(asked, GenerationSettings(max_tokens=8))).ids for asked in prompts
    ]
    streams = [backend.stream(asked, GenerationSettings(max_tokens=8)) for asked in prompts]
    turns: list[list[int]] = [[], []]
    for _ in range(8):
        for made, stream in zip(turns, streams, strict=True):
            made.extend(piece.id for piece in [next(stream, None)] if piece is not None)
    assert [tuple(made) for made in turns] == alone
    for stream in streams:
        stream.close()


def test_threads_stream_and_score_as_one_does(backend: Backend) -> None:
    prompts = [prompt(backend, f"Question {number}?") for number in range(4)]
    alone = [
        exhaust(backend.stream(asked, GenerationSettings(max_tokens=8))).ids for asked in prompts
    ]
    found: dict[int, tuple[int, ...]] = {}

    def run(number: int) -> None:
        made = exhaust(backend.stream(prompts[number], GenerationSettings(max_tokens=8)))
        assert_scores_as_cold(backend, kv_of(made))
        found[number] = made.ids

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(4)] == alone


# --- the end of a cache, and bad input -----------------------------------------------------------


def test_a_released_cache_is_refused(backend: Backend) -> None:
    kv = kv_of(exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=4))))
    backend.release(kv)
    backend.release(kv)
    with pytest.raises(BackendError, match="released"):
        backend.score([Item(kv, ())], build_query("raw", backend.encoder), None, LIKELIHOOD)
    with pytest.raises(BackendError, match="released"):
        backend.stream(prompt(backend), GenerationSettings(max_tokens=4), past=kv)


def test_a_cache_without_an_answer_cannot_be_scored_but_goes_on(backend: Backend) -> None:
    free = exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=4)))
    made = exhaust(
        backend.stream(prompt(backend), GenerationSettings(max_tokens=4, stop=[free.text[:1]]))
    )
    assert made.ids == ()
    with pytest.raises(UsageError, match="without tokens"):
        backend.score(
            [Item(kv_of(made), ())], build_query("raw", backend.encoder), None, LIKELIHOOD
        )
    again = exhaust(
        backend.stream(
            (*kv_of(made).ids, *free.ids), GenerationSettings(max_tokens=2), past=made.kv
        )
    )
    assert again.cached_tokens == len(prompt(backend))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_tokens": 0}, "max_tokens 0"),
        ({"max_tokens": 10**6}, "exceed the model's"),
        ({"temperature": -0.1}, "temperature -0.1"),
        ({"temperature": float("nan")}, "temperature nan"),
        ({"top_p": 0.0}, "top_p 0.0"),
        ({"top_p": 1.5}, "top_p 1.5"),
    ],
)
def test_settings_out_of_range_are_refused(
    backend: Backend, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        backend.stream(prompt(backend), GenerationSettings(**{"max_tokens": 4, **settings}))
    with pytest.raises(UsageError, match=message):
        backend.generate([prompt(backend)] * 2, GenerationSettings(**{"max_tokens": 4, **settings}))


def test_a_prompt_without_tokens_is_refused(backend: Backend) -> None:
    for start in (
        lambda: backend.stream((), GenerationSettings(max_tokens=4)),
        lambda: backend.generate([()], GenerationSettings(max_tokens=4)),
        lambda: backend.generate([prompt(backend), ()], GenerationSettings(max_tokens=4)),
    ):
        with pytest.raises(UsageError, match="without tokens"):
            start()


def test_closing_the_backend_ends_its_streams(own_backend: Backend) -> None:
    backend = own_backend
    kv = kv_of(exhaust(backend.stream(prompt(backend), GenerationSettings(max_tokens=4))))
    begun, fresh = (
        backend.stream(prompt(backend), GenerationSettings(max_tokens=8)) for _ in range(2)
    )
    next(begun)
    backend.close()
    for stream in (begun, fresh):
        with pytest.raises(BackendError, match="closed"):
            next(stream)
        stream.close()
        with pytest.raises(UsageError, match="no result"):
            _ = stream.result
    with pytest.raises(BackendError, match="closed"):
        backend.stream(prompt(backend), GenerationSettings(max_tokens=8))
    backend.release(kv)
