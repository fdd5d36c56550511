"""llama.cpp reads an exported tokenizer as the original is read, or there is no export."""

import json
import random
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
import sentencepiece
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import LlamaConfig, PreTrainedTokenizerFast

from ct_guard.backends.gguf_file import validate_base
from ct_guard.backends.llama_cpp import LlamaCppBackend
from ct_guard.backends.tokens import TokenizerEncoder
from ct_guard.errors import ExportError, MismatchError
from ct_guard.export import export_base
from ct_guard.export.tokenizer import _SPLITS, read_vocabularies
from ct_guard.query import LABELS
from ct_guard.records import Message
from tests.unit.export.conftest import MakeModel

LLAMA3, QWEN2 = _SPLITS
CONVERSATION = (Message(role="user", content="Hi there"),)


def split(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def digits() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )


def texts(count: int) -> Iterator[str]:
    rng = random.Random(0)
    pieces = [
        "abc", "xyz", "0", "12", "345", ".", ",", "!", "?", "'", '"', "(", ")", " ", "\n", "\t",
        "i", "ii", " the", "'s", "'RE", "é", "ß", "中", "日本", "½", "😀", "\u00a0", "<|end|>",
        "</s>", "plus",
    ]  # fmt: skip
    for _ in range(count):
        yield "".join(rng.choice(pieces) for _ in range(rng.randint(1, 25)))


def agree(folder: Path, path: Path) -> None:
    """Texts with and without special tokens, labels, decoding, and the chat."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    original = TokenizerEncoder(tokenizer)
    backend = LlamaCppBackend.load(path, n_ctx=64, n_batch=32, threads=1)
    try:
        assert backend.encoder.start_ids == original.start_ids
        for text in texts(400):
            ids = original.encode(text)
            assert backend.encoder.encode(text) == ids, text
            assert backend.encoder.encode(text, special=True) == original.encode(
                text, special=True
            ), text
            decoded = original.decode(ids)  # SentencePiece's takes off the first space
            assert backend.encoder.decode(ids) in (decoded, f" {decoded}"), text
        for label in LABELS:
            try:
                expected = original.label_id(label)
            except MismatchError:
                continue
            assert backend.encoder.label_id(label) == expected
        if tokenizer.chat_template:
            for prompt in (True, False):
                shown = backend.encoder.render_chat(CONVERSATION, generation_prompt=prompt)
                assert shown == original.render_chat(CONVERSATION, generation_prompt=prompt)
    finally:
        backend.close()


@pytest.mark.parametrize(
    ("pre", "expected"),
    [
        (lambda: pre_tokenizers.ByteLevel(add_prefix_space=False), "gpt-2"),
        (lambda: split(LLAMA3), "llama-bpe"),
        (lambda: split(QWEN2), "qwen2"),
        (digits, "smollm"),
    ],
)
def test_byte_level_tokenizers(
    pre: Callable[[], pre_tokenizers.PreTokenizer],
    expected: str,
    byte_level: Callable[..., PreTrainedTokenizerFast],
    make_model: MakeModel,
    tmp_path: Path,
) -> None:
    folder = make_model(LlamaConfig, byte_level(pre=pre()))
    export_base(folder, tmp_path / "model.gguf")
    assert validate_base(tmp_path / "model.gguf").get("tokenizer.ggml.pre") == expected
    agree(folder, tmp_path / "model.gguf")


def test_a_unicode_form_is_kept_by_the_backend(
    byte_level: Callable[..., PreTrainedTokenizerFast], make_model: MakeModel, tmp_path: Path
) -> None:
    folder = make_model(LlamaConfig, byte_level(normalizer=normalizers.NFC()))
    export_base(folder, tmp_path / "model.gguf")
    backend = LlamaCppBackend.load(tmp_path / "model.gguf", n_ctx=64, n_batch=32, threads=1)
    try:
        assert backend.encoder.encode("Cafe\u0301") == backend.encoder.encode("Caf\u00e9")
    finally:
        backend.close()
    agree(folder, tmp_path / "model.gguf")


def test_sentencepiece_tokenizers(
    sentencepiece_like: Callable[[], PreTrainedTokenizerFast], make_model: MakeModel, tmp_path: Path
) -> None:
    folder = make_model(LlamaConfig, sentencepiece_like())
    export_base(folder, tmp_path / "model.gguf")
    info = validate_base(tmp_path / "model.gguf")
    assert info.get("tokenizer.ggml.model") == "llama"
    assert info.get("tokenizer.ggml.add_space_prefix") is True
    agree(folder, tmp_path / "model.gguf")


def test_scores_are_those_of_the_sentencepiece_model_where_there_is_one(
    sentencepiece_like: Callable[[], PreTrainedTokenizerFast], make_model: MakeModel, tmp_path: Path
) -> None:
    trained = BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(["What is 2 plus 2? (i): no (ii): yes Answer: i ii"] * 20),
        model_writer=trained,
        vocab_size=300,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    model = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    pieces = {model.IdToPiece(token): token for token in range(model.GetPieceSize())}
    pairs = [
        (piece[:at], piece[at:])
        for piece in pieces
        for at in range(1, len(piece))
        if piece[:at] in pieces and piece[at:] in pieces and not model.IsByte(pieces[piece])
    ]
    merges = sorted(pairs, key=lambda pair: -model.GetScore(pieces["".join(pair)]))
    data = json.loads(sentencepiece_like().backend_tokenizer.to_str())
    data["model"] |= {"vocab": pieces, "merges": merges}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(data)),
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
    )
    folder = make_model(LlamaConfig, fast)
    (folder / "tokenizer.model").write_bytes(trained.getvalue())
    export_base(folder, tmp_path / "model.gguf")
    scores = validate_base(tmp_path / "model.gguf").get("tokenizer.ggml.scores")
    expected = [model.GetScore(token) for token in range(model.GetPieceSize())]
    assert scores[: len(expected)].tolist() == pytest.approx(expected)
    agree(folder, tmp_path / "model.gguf")


def test_a_chat_template_goes_along(
    byte_level: Callable[..., PreTrainedTokenizerFast], make_model: MakeModel, tmp_path: Path
) -> None:
    tokenizer = byte_level()
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] | trim }}"
        "{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    folder = make_model(LlamaConfig, tokenizer)
    export_base(folder, tmp_path / "model.gguf")
    assert validate_base(tmp_path / "model.gguf").chat_template == tokenizer.chat_template
    agree(folder, tmp_path / "model.gguf")


def test_a_tokenizer_that_llama_cpp_reads_otherwise_is_refused_with_the_text(
    byte_level: Callable[..., PreTrainedTokenizerFast], make_model: MakeModel, tmp_path: Path
) -> None:
    tokenizer = byte_level(pre=pre_tokenizers.Metaspace(replacement="Ġ", prepend_scheme="never"))
    folder = make_model(LlamaConfig, tokenizer)
    with pytest.raises(ExportError, match=r"would encode '.+' otherwise") as error:
        export_base(folder, tmp_path / "model.gguf")
    assert "`backend` transformers" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_kinds_of_tokenizers_that_have_no_place_are_named(
    byte_level: Callable[..., PreTrainedTokenizerFast],
) -> None:
    unigram = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0))
    )
    with pytest.raises(ExportError, match="Unigram"):
        next(read_vocabularies(unigram, Path(), 10))
    lower = byte_level(normalizer=normalizers.Lowercase())
    with pytest.raises(ExportError, match="Lowercase"):
        next(read_vocabularies(lower, Path(), 1000))
    with pytest.raises(ExportError, match="embeddings"):
        next(read_vocabularies(byte_level(), Path(), 10))


def test_special_ids_and_types_are_those_of_the_tokenizer(
    byte_level: Callable[..., PreTrainedTokenizerFast],
) -> None:
    tokenizer = byte_level()
    tokenizer.add_tokens(["wombat"])
    vocabulary = next(read_vocabularies(tokenizer, Path(), len(tokenizer) + 2))
    assert vocabulary.special_ids == {"bos": 1, "eos": 2, "padding": 0}
    at = vocabulary.tokens.index("wombat")
    assert [vocabulary.types[token] for token in (0, 10, at, at + 1)] == [3, 1, 4, 5]
    assert json.loads(tokenizer.backend_tokenizer.to_str())["model"]["type"] == "BPE"
