"""Three tokenizers of different kinds behind the encoder seam, each with the texts of its special
tokens."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ct_guard.query import Query, build_query
from ct_guard.query.encoder import Encoder
from ct_guard.query.styles import ContextStyle
from ct_guard.store import MINI

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Reader:
    """An encoder, and which texts are special tokens to it."""

    encoder: Encoder
    marks: tuple[str, ...]

    def special_ids(self) -> frozenset[int]:
        ids = [self.encoder.encode(mark, special=True) for mark in self.marks]
        assert all(len(one) == 1 for one in ids)
        return frozenset(one[0] for one in ids)

    def query(self, style: ContextStyle) -> Query:
        """With label ids of its own where the tokenizer has no single token for a label."""
        labels = (self.encoder.encode("i")[-1], self.encoder.encode("x")[-1])
        return build_query(style, self.encoder, labels)


@pytest.fixture(scope="session", params=["mini", "smollm2", "unigram"])
def reader(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reader]:
    if request.param == "smollm2":
        yield from _smollm2(request.getfixturevalue("smol_gguf"))
        return
    folder = MINI / "base"
    if request.param == "unigram":
        folder = _unigram(tmp_path_factory.mktemp("unigram"))
    from ct_guard.backends.tokenizer_file import load_tokenizer
    from ct_guard.backends.tokens import TokenizerEncoder

    tokenizer = load_tokenizer(folder)
    marks = set(tokenizer.all_special_tokens) - {
        tokenizer.unk_token
    }  # an unknown word is no attack
    yield Reader(TokenizerEncoder(tokenizer), tuple(sorted(marks)))  # noqa: PT022  one of them has one


def _smollm2(path: Path) -> Iterator[Reader]:
    """Byte-level BPE, as llama.cpp reads it from a GGUF file."""
    from ct_guard.backends.llama_cpp import LlamaCppBackend

    backend = LlamaCppBackend.load(path, n_ctx=256, n_batch=64, threads=1)
    try:
        yield Reader(backend.encoder, ("<|im_start|>", "<|im_end|>", "<|endoftext|>"))
    finally:
        backend.close()


def _unigram(folder: Path) -> Path:
    """As SentencePiece makes them: words begin with a mark, a text has a dummy prefix, and what is
    in no piece falls back to bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    marks = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "[INST]"]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    core = Tokenizer(models.Unigram())
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    core.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    texts = ["Question: Is the proposed answer correct? Choices: (i): no (ii): yes Answer: i x"] * 9
    trainer = trainers.UnigramTrainer(
        vocab_size=400, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    core.train_from_iterator(texts, trainer)
    data = json.loads(core.to_str())
    data["model"]["vocab"] += [[byte, -20.0] for byte in bytes_]
    data["model"]["byte_fallback"] = True
    core = Tokenizer.from_str(json.dumps(data))
    core.add_special_tokens(marks)  # beside the pieces, so that no text is made of them
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        additional_special_tokens=marks[2:],
    )  # fmt: skip
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder
