"""Text and ids on llama.cpp are those of the tokenizer that the file was converted from."""

from collections.abc import Iterator
from pathlib import Path

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ct_guard.backends.chat_template import ChatTemplate
from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import MismatchError, UsageError
from ct_guard.query import ContextStyle, build_query, render
from ct_guard.records import Message, QuestionAnswer

CHAT = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="<|end|> What is 2 plus 2? <|begin|>"),
    Message(role="assistant", content="4"),
    Message(role="user", content=" And 3 plus 3? "),
)
pieces = st.sampled_from(["<|end|>", "<|begin|>", "\n", " ", "Question:", "東京", "\x00"])
texts = st.lists(st.one_of(st.text(max_size=12), pieces), max_size=8).map("".join)


@pytest.fixture(scope="module")
def ours(tiny_gguf: Path) -> Iterator[LlamaCppBackend]:
    backend = LlamaCppBackend.load(tiny_gguf, threads=1)
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def theirs(tiny_base: Path) -> Iterator[TransformersBackend]:
    backend = TransformersBackend.load(tiny_base, device="cpu")
    yield backend
    backend.close()


def with_values(source: Path, target: Path, **changed: str) -> Path:
    """A copy of a GGUF file with other values of some of its keys; None drops one."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    for field in reader.fields.values():
        name = field.name
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        key = name.rpartition(".")[2]
        value = changed.get(key, field.contents())
        if value:
            items = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, value, field.types[0], items)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


# --- ids -----------------------------------------------------------------------------------------


@given(texts)
def test_texts_have_the_ids_of_the_original(
    ours: LlamaCppBackend, theirs: TransformersBackend, text: str
) -> None:
    assert ours.encoder.encode(text) == theirs.encoder.encode(text)
    assert ours.encoder.encode(text, special=True) == theirs.encoder.encode(text, special=True)
    assert ours.encoder.decode(ours.encoder.encode(text)) == text


def test_special_tokens_are_parsed_in_our_own_text_only(ours: LlamaCppBackend) -> None:
    begin = ours.encoder.encode("<|begin|>", special=True)
    assert len(begin) == 1
    assert begin[0] not in ours.encoder.encode("<|begin|>")
    assert ours.encoder.decode(ours.encoder.encode("<|begin|>")) == "<|begin|>"
    assert ours.encoder.decode(begin) == ""


def test_lone_surrogates_are_read_as_question_marks(
    ours: LlamaCppBackend, theirs: TransformersBackend
) -> None:
    assert (
        ours.encoder.encode("a\ud800b")
        == theirs.encoder.encode("a\ud800b")
        == ours.encoder.encode("a?b")
    )


def test_bytes_that_are_no_character_are_replaced(ours: LlamaCppBackend) -> None:
    assert ours.encoder.decode(ours.encoder.encode("東")[:1]) == "\ufffd"


@pytest.mark.parametrize("style", ["raw", "chat_turn", "chat_user"])
def test_whole_queries_are_the_same(
    ours: LlamaCppBackend, theirs: TransformersBackend, style: ContextStyle
) -> None:
    asked = QuestionAnswer(question="What is 2 plus 2? <|end|>", answer="4", messages=CHAT[:1])
    made = []
    for encoder in (ours.encoder, theirs.encoder):
        query = build_query(style, encoder)
        made.append((query, render(asked, style=style, encoder=encoder, query=query, budget=500)))
    assert made[0] == made[1]


def test_a_label_of_several_tokens_is_refused(ours: LlamaCppBackend) -> None:
    with pytest.raises(MismatchError, match="must be one"):
        ours.encoder.label_id("absolutely")


def test_texts_that_end_the_process_in_llama_cpp_are_refused(
    tiny_gguf: Path, tmp_path: Path
) -> None:
    """Its regular expressions recurse; the tokenizers that it has code of its own for do not."""
    path = with_values(tiny_gguf, tmp_path / "model.gguf", pre="deepseek-llm")
    backend = LlamaCppBackend.load(path, threads=1)
    assert backend.encoder.encode("word " * 5000)
    for long in ("a" * 100_000, " " * 100_000, "!" * 100_000):
        with pytest.raises(UsageError, match="too long for this tokenizer"):
            backend.encoder.encode(long)
    backend.close()


def test_long_texts_are_encoded(ours: LlamaCppBackend) -> None:
    for long in ("a" * 300_000, " " * 300_000, "東" * 100_000):
        assert ours.encoder.decode(ours.encoder.encode(long)) == long


# --- chat templates ------------------------------------------------------------------------------


@pytest.mark.parametrize("generation_prompt", [True, False])
def test_conversations_read_as_in_transformers(
    ours: LlamaCppBackend, theirs: TransformersBackend, generation_prompt: bool
) -> None:
    for turns in (CHAT, CHAT[1:2]):
        assert ours.encoder.render_chat(
            turns, generation_prompt=generation_prompt
        ) == theirs.encoder.render_chat(turns, generation_prompt=generation_prompt)


def test_a_model_without_a_template_says_so(tiny_gguf: Path, tmp_path: Path) -> None:
    path = with_values(tiny_gguf, tmp_path / "model.gguf", chat_template="")
    backend = LlamaCppBackend.load(path, threads=1)
    with pytest.raises(MismatchError, match="no chat template: use the context style 'raw'"):
        backend.encoder.render_chat(CHAT, generation_prompt=True)
    assert build_query("raw", backend.encoder).ids
    backend.close()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ messages[0].content | tojson }}", '"<é>"'),
        ("{% generation %}{{ messages[0].content }}{% endgeneration %}!", "<é>!"),
        ("{% for m in messages %}{% break %}{% endfor %}x", "x"),
        ("{% if tools %}tools{% endif %}{{ bos_token }}{{ nothing }}", "<s>"),
        ("{{ strftime_now('%Y')[:2] }}", "20"),
        ("{% set ns = namespace(n=1) %}{% set ns.n = 2 %}{{ ns.n }}", "2"),
        ("{% if true %}\n  a\n{% endif %}", "  a\n"),
    ],
)
def test_what_templates_use_is_there(source: str, expected: str) -> None:
    template = ChatTemplate(source, {"bos_token": "<s>"})
    assert (
        template.render([Message(role="user", content="<é>")], generation_prompt=True) == expected
    )


@pytest.mark.parametrize(
    "source",
    [
        "{% if %}",
        "{{ raise_exception('no such role') }}",
        "{{ 1 / 0 }}",
        "{{ messages[0] + 1 }}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
    ],
)
def test_a_template_that_fails_is_a_mismatch(source: str) -> None:
    with pytest.raises(MismatchError, match="chat template refuses"):
        ChatTemplate(source, {}).render([Message(role="user", content="a")], generation_prompt=True)
