"""Text from tokens: equal to decoding everything at once, on tokenizers of every family."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ct_guard.backends.streaming import TextStream, whole_tokens
from ct_guard.backends.tokens import TokenizerEncoder
from ct_guard.testing import FakeEncoder

SPACE = "\u2581"
TEXTS = st.text(st.sampled_from("aab .\n\tïß東京\u0301😀👩\u200d🚀\ufffd")) | st.text()
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def streamed(ids: Sequence[int], decode: Callable[[Sequence[int]], str], *stop: str) -> list[str]:
    stream = TextStream(decode, stop)
    return [*(stream.push(token) for token in ids), stream.finish()]


def as_bytes(ids: Sequence[int]) -> str:
    return bytes(ids).decode("utf-8", "replace")


def sentencepiece_like(*decoder: decoders.Decoder) -> TokenizerEncoder:
    """Dummy prefix and byte fallback, with a few words of its own."""
    words = [SPACE, "a", "b", ".", SPACE + "a", "ab"]
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    core = Tokenizer(
        models.BPE(
            vocab={token: at for at, token in enumerate(pieces)},
            merges=[(SPACE, "a"), ("a", "b")],
            unk_token="<unk>",
            byte_fallback=True,
        )
    )
    core.normalizer = normalizers.Replace(" ", SPACE)
    core.decoder = decoders.Sequence(list(decoder))
    return TokenizerEncoder(PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>"))


@pytest.fixture(scope="module")
def byte_level(tiny_base: Path) -> TokenizerEncoder:
    return TokenizerEncoder(AutoTokenizer.from_pretrained(tiny_base, local_files_only=True))


STRIPPING = sentencepiece_like(
    decoders.Replace(SPACE, " "),
    decoders.ByteFallback(),
    decoders.Fuse(),
    decoders.Strip(" ", 1, 0),
)
METASPACE = sentencepiece_like(decoders.ByteFallback(), decoders.Metaspace())


# --- whole characters ----------------------------------------------------------------------------


@given(st.lists(st.integers(0, 255)))
@example(list("東".encode())[:2])
@example([0xFF, 0x61, 0xE6, 0x61])
def test_any_bytes_read_as_they_do_at_once(ids: list[int]) -> None:
    assert "".join(streamed(ids, as_bytes)) == as_bytes(ids)


@relaxed
@given(ids=st.lists(st.integers(0, 319)))
def test_any_tokens_of_a_byte_level_vocabulary_read_as_they_do_at_once(
    byte_level: TokenizerEncoder, ids: list[int]
) -> None:
    assert "".join(streamed(ids, byte_level.decode)) == byte_level.decode(ids)


@relaxed
@given(text=TEXTS)
@example("  two spaces and 東京 ")
@pytest.mark.parametrize("encoder", [STRIPPING, METASPACE, FakeEncoder()])
def test_text_comes_out_whole(encoder: TokenizerEncoder, text: str) -> None:
    ids = encoder.encode(text)
    assert "".join(streamed(ids, encoder.decode)) == encoder.decode(ids)


def test_nothing_comes_out_while_a_character_is_incomplete() -> None:
    parts = streamed("é東😀".encode(), as_bytes)
    assert parts == ["", "é", "", "", "東", "", "", "", "😀", ""]


def test_text_comes_out_at_once_where_nothing_is_open() -> None:
    assert streamed(b"abc", as_bytes, "xyz") == ["a", "b", "c", ""]


def test_decoding_stays_short_however_long_the_answer() -> None:
    longest = 0

    def decode(ids: Sequence[int]) -> str:
        nonlocal longest
        longest = max(longest, len(ids))
        return as_bytes(ids)

    streamed("東 plain ".encode() * 200, decode)
    assert longest <= 8


# --- stop strings --------------------------------------------------------------------------------


@given(
    st.lists(st.text("ab東", min_size=1, max_size=4)),
    st.lists(st.text("ab東", max_size=4), max_size=3),
)
@example(["a", "b", "a", "b"], ["abab東", "ba"])
@example(["abab"], ["abab", "ba"])
def test_stop_strings_end_the_text_before_them(parts: list[str], stop: list[str]) -> None:
    """However the text is cut into tokens, and also where stop strings overlap."""
    text = "".join(parts)
    ends = [(text.index(mark) + len(mark), text.index(mark)) for mark in stop if mark in text]
    marks = [(end, at) for (end, at) in ends if end > at]
    expected = text[: min(marks)[1]] if marks else text
    out = streamed(range(len(parts)), lambda ids: "".join(parts[at] for at in ids), *stop)
    assert "".join(out) == expected
    assert "".join(streamed(text.encode(), as_bytes, *stop)) == expected


def test_what_may_be_a_stop_string_waits_until_it_is_not() -> None:
    assert streamed(b"a--b->c", as_bytes, "-->") == ["a", "", "", "--b", "", "->", "c", ""]
    assert streamed(b"a--", as_bytes, "-->") == ["a", "", "", "--"]


def test_what_follows_a_stop_string_is_dropped() -> None:
    stream = TextStream(as_bytes, ["."])
    assert [stream.push(byte) for byte in b"a.b"] == ["a", "", ""]
    assert stream.stopped
    assert stream.finish() == ""


# --- tokens of a text ----------------------------------------------------------------------------


@given(st.lists(st.text("ab東", min_size=1, max_size=4)), st.integers(0, 30))
def test_whole_tokens_are_those_that_lie_in_the_text(parts: list[str], cut: int) -> None:
    text = "".join(parts)[:cut]
    count = whole_tokens(range(len(parts)), text, lambda ids: "".join(parts[at] for at in ids))
    assert text.startswith("".join(parts[:count]))
    assert count == len(parts) or len("".join(parts[: count + 1])) > len(text)


def test_a_character_that_is_not_whole_is_no_token_of_the_text() -> None:
    ids = list("a東b".encode())
    assert whole_tokens(ids, "a", as_bytes) == 1
    assert whole_tokens(ids, "a東", as_bytes) == 4
