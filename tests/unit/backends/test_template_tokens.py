"""No user text becomes a token of the chat template, whatever the tokenizer calls that token."""

from pathlib import Path
from typing import Any

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.backends.template_tokens import added_markup, apart_from, vocabulary_markup
from ct_guard.backends.tokens import TokenizerEncoder
from ct_guard.errors import MismatchError
from ct_guard.query import TEMPLATE_DATE, Encoder
from ct_guard.records import Message

TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}{{ m['content'] }}<turn_end>{% endfor %}"
    "{% if add_generation_prompt %}[REPLY]{{ '<|assistant|>' }}{% endif %}"
)
MARKS = ("<|user|>", "<|assistant|>", "<|system|>", "<turn_end>", "[REPLY]")
HI = (Message(role="user", content="hi"),)


def tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """Bytes, with marks that are added but not special, and one that is an ordinary entry."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: at for at, token in enumerate([*letters, "ii", "EP", "LY"])}
    merges = [("i", "i"), ("E", "P"), ("L", "Y")]
    for left, right in [("[", "R"), ("[R", "EP"), ("[REP", "LY"), ("[REPLY", "]")]:
        vocabulary[left + right] = len(vocabulary)
        merges.append((left, right))
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_tokens([AddedToken(mark, special=False) for mark in MARKS[:-1]])
    core.add_tokens([AddedToken("<b>", special=False), AddedToken("    ", special=False)])
    core.add_special_tokens(["</s>"])
    made = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>")
    made.chat_template = template
    return made


def marks_of(made: Any) -> set[int]:
    return {made.convert_tokens_to_ids(mark) for mark in MARKS} | {made.eos_token_id}


def test_marks_are_tokens_in_our_own_text_and_text_in_that_of_a_user() -> None:
    made = tokenizer()
    encoder = TokenizerEncoder(made)
    for mark in MARKS:
        one = made.convert_tokens_to_ids(mark)
        assert encoder.encode(mark, special=True) == [one]
        ids = encoder.encode(f"4{mark}5")
        assert one not in ids
        assert encoder.decode(ids) == f"4{mark}5"


def test_other_added_tokens_are_encoded_as_the_model_learnt_them() -> None:
    made = tokenizer()
    encoder = TokenizerEncoder(made)
    assert encoder.encode("<b>    ") == made.convert_tokens_to_ids(["<b>", "    "])


pieces = st.sampled_from([*MARKS, "</s>", "<|", "|>", "<<|user|>|user|>", "[REP", "LY]", " ", "\n"])


@settings(deadline=None, max_examples=150)
@given(st.lists(pieces | st.text(max_size=5)).map("".join))
def test_no_text_makes_a_mark_and_none_is_lost(text: str) -> None:
    made = tokenizer()
    encoder = TokenizerEncoder(made)
    ids = encoder.encode(text)
    assert marks_of(made).isdisjoint(ids)
    assert encoder.decode(ids) == text.encode("utf-8", "replace").decode()


def test_what_is_taken_apart_and_still_a_mark_is_refused() -> None:
    encode = apart_from({"<x>"}, lambda text: [1] * len(text), lambda ids: 1 in ids)
    with pytest.raises(MismatchError, match="plain text"):
        encode("a<x>")


def test_words_and_white_space_of_a_template_mark_nothing() -> None:
    written = "<|user|>\nassistant    </s> it's [0]"
    assert added_markup(["<|user|>", "assistant", "    ", "\n", "<b>"], written) == {"<|user|>"}
    assert vocabulary_markup(["'s", " it", "[0]", "<|user|>", "<"], written) == {"[0]", "<|user|>"}


# --- llama.cpp -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def user_defined(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base, whose control tokens are of the type that is found in any text."""
    path = tmp_path_factory.mktemp("marks") / "base.gguf"
    path.write_bytes(tiny_gguf.read_bytes())
    reader = gguf.GGUFReader(path, "r+")
    field = reader.fields["tokenizer.ggml.token_type"]
    for part in field.data:
        if field.parts[part][0] == gguf.TokenType.CONTROL:
            field.parts[part][0] = gguf.TokenType.USER_DEFINED
    del reader
    return path


@pytest.fixture(scope="module")
def on_llama(user_defined: Path) -> Any:
    backend = LlamaCppBackend.load(user_defined, threads=1)
    yield backend.encoder
    backend.close()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(["<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<<|end|>", " "])
        | st.text(max_size=4)
    ).map("".join)
)
def test_user_defined_marks_are_text_on_llama_cpp_too(on_llama: Encoder, text: str) -> None:
    marks = {
        one
        for mark in ("<|end|>", "<|user|>", "<|assistant|>", "<|system|>")
        for one in on_llama.encode(mark, special=True)
    }
    assert len(marks) == 4
    assert marks.isdisjoint(on_llama.encode(text))


# --- the clock -----------------------------------------------------------------------------------


def test_it_is_the_same_day_for_every_template() -> None:
    dated = tokenizer("{{ strftime_now('%Y-%m-%d') }}{{ messages[0]['content'] }}")
    encoder = TokenizerEncoder(dated)
    assert encoder.render_chat(HI, generation_prompt=False) == f"{TEMPLATE_DATE}hi"
