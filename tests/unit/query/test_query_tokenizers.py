"""Tokenizers of other families behind the encoder seam."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ct_guard.backends.tokens import TokenizerEncoder
from ct_guard.errors import MismatchError
from ct_guard.query import QUERY_TEXT, build_field_query, build_query
from ct_guard.query.template import FIELD_PREAMBLE

DUMMY = "\u2581"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def sentencepiece_like(*, newlines: bool, legacy: bool) -> PreTrainedTokenizerFast:
    """Llama-2 in small: dummy prefix, byte fallback; `newlines`: they are tokens and merge."""
    words = [DUMMY, "i", "a", "4", "."] + (["\n", "\n\n"] if newlines else [])
    vocab = {token: at for at, token in enumerate(["<unk>", "<s>", "</s>", *BYTES, *words])}
    merges = []
    for left, right in [(DUMMY, "i"), (DUMMY + "i", "i"), (DUMMY, "a"), (DUMMY, "4")]:
        vocab.setdefault(left + right, len(vocab))
        merges.append((left, right))
    if newlines:
        merges.append(("\n", "\n"))
    core = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True))
    if legacy:
        core.normalizer = normalizers.Sequence(
            [normalizers.Prepend(DUMMY), normalizers.Replace(" ", DUMMY)]
        )
    else:
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    core.decoder = decoders.Sequence(
        [decoders.Replace(DUMMY, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.fixture(params=[(False, False), (False, True), (True, False), (True, True)])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    newlines, legacy = request.param
    return sentencepiece_like(newlines=newlines, legacy=legacy)


def tokens(tokenizer: Any, ids: list[int]) -> list[str]:
    return [str(token) for token in tokenizer.convert_ids_to_tokens(ids)]


def test_no_dummy_prefix_stands_before_the_answer_or_the_query(tokenizer: Any) -> None:
    encoder = TokenizerEncoder(tokenizer)
    assert tokens(tokenizer, tokenizer.encode("a", add_special_tokens=False)) == [DUMMY + "a"]
    assert tokens(tokenizer, encoder.encode("a")) == ["a"]
    assert tokens(tokenizer, encoder.encode(" a")) == [DUMMY + "a"]
    query = tokens(tokenizer, encoder.encode(QUERY_TEXT))
    assert query[0] in ("\n\n", "\n", "<0x0A>")


def test_labels_are_looked_up_with_the_dummy_prefix(tokenizer: Any) -> None:
    query = build_query("raw", TokenizerEncoder(tokenizer))
    assert tokens(tokenizer, list(query.label_ids)) == [DUMMY + "i", DUMMY + "ii"]


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=st.text() | st.text("\n a.") | st.sampled_from(["</s>", "<s>x", "a</s>\n"]))
def test_user_text_comes_back_whole_and_is_never_special(tokenizer: Any, text: str) -> None:
    encoder = TokenizerEncoder(tokenizer)
    ids = encoder.encode(text)
    assert {1, 2}.isdisjoint(ids)
    shown = "".join(
        chr(0) if token in BYTES else token.replace(DUMMY, " ") for token in tokens(tokenizer, ids)
    )
    plain = sum(c in "ia4. " or c == DUMMY for c in text)
    assert sum(c in "ia4. " for c in shown) == plain


def word_level(**special: str) -> PreTrainedTokenizerFast:
    core = Tokenizer(
        models.WordLevel({"<unk>": 0, "<s>": 1, "i": 2, "ii": 3, "hello": 4}, unk_token="<unk>")
    )
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=core, **special)


def test_a_word_outside_the_vocabulary_is_unknown_and_no_attack() -> None:
    encoder = TokenizerEncoder(word_level(unk_token="<unk>", bos_token="<s>"))
    assert encoder.encode("hello stranger") == [4, 0]


def test_an_unknown_token_that_also_steers_the_model_is_refused() -> None:
    encoder = TokenizerEncoder(word_level(unk_token="<unk>", bos_token="<unk>"))
    with pytest.raises(MismatchError, match="special"):
        encoder.encode("hello stranger")


def test_special_tokens_beside_the_named_ones_are_data_too() -> None:
    tokenizer = word_level(unk_token="<unk>", bos_token="<s>")
    tokenizer.add_tokens([AddedToken("<reserved>", special=True)])
    encoder = TokenizerEncoder(tokenizer)
    reserved = tokenizer.convert_tokens_to_ids("<reserved>")
    assert encoder.encode("<reserved>", special=True) == [reserved]
    assert reserved not in encoder.encode("hello <reserved>")


def test_a_saved_truncation_is_not_applied() -> None:
    tokenizer = word_level(unk_token="<unk>", bos_token="<s>")
    tokenizer.backend_tokenizer.enable_truncation(2)
    tokenizer.backend_tokenizer.enable_padding(length=8)
    assert TokenizerEncoder(tokenizer).encode("hello hello hello") == [4, 4, 4]


def test_a_tokenizer_without_a_core_is_refused() -> None:
    with pytest.raises(MismatchError, match="fast tokenizer"):
        TokenizerEncoder(object())


def test_a_query_about_a_field_begins_as_the_answers_own(tokenizer: Any) -> None:
    """So that both are read once: all but the last of the query's lines."""
    encoder = TokenizerEncoder(tokenizer)
    query = build_query("raw", encoder)
    about = build_field_query("raw", encoder, query.label_ids).about("town", "Kelso", encoder)
    shared = next(
        at for at, pair in enumerate(zip(query.ids, about.ids, strict=False)) if len(set(pair)) > 1
    )
    assert encoder.decode(query.ids[:shared]).strip("\n") == FIELD_PREAMBLE.strip("\n")
