"""A Hugging Face tokenizer in GGUF's terms: byte-level BPE, and SentencePiece's BPE.

Which of llama.cpp's pre-tokenizers a byte-level tokenizer equals is found by trying: see probe.py.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
from gguf import TokenType

from ct_guard.backends.gguf_info import LABEL_IDS, NORMALIZER
from ct_guard.backends.tokens import TokenizerEncoder
from ct_guard.errors import ExportError, MismatchError
from ct_guard.query import LABELS

__all__ = ["Vocabulary", "read_vocabularies"]

_SPLITS = {
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+": "llama-bpe",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+": "qwen2",
}
"""Regular expressions of Llama 3 and Qwen 2, and what llama.cpp calls them."""
_PRE = (
    "gpt-2", "llama-bpe", "qwen2", "smollm", "tekken", "deepseek-llm", "deepseek-coder",
    "command-r", "falcon", "stablelm2", "olmo", "dbrx", "chatglm-bpe", "gpt-4o", "default",
)  # fmt: skip
"""llama.cpp's pre-tokenizers, in the order in which they are tried."""
_UNUSED_SCORE = -10_000.0


@dataclass(frozen=True)
class Vocabulary:
    """One way to write a tokenizer down; whether llama.cpp then agrees is for the probe to say."""

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    space_prefix: bool = False
    normalizer: str = ""
    special_ids: dict[str, int] = field(default_factory=dict)
    label_ids: list[int] = field(default_factory=list)
    starts_with_bos: bool = False
    chat_template: str | None = None

    def describe(self, writer: gguf.GGUFWriter) -> None:
        """Write the tokenizer's keys."""
        writer.add_tokenizer_model(self.model)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        if self.merges:
            writer.add_token_merges(self.merges)
        if self.scores:
            writer.add_token_scores(self.scores)
        if self.model == "llama":
            writer.add_add_space_prefix(self.space_prefix)
        if self.normalizer:
            writer.add_string(NORMALIZER, self.normalizer)
        for name, token in self.special_ids.items():
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
        if self.label_ids:
            writer.add_key_value(
                LABEL_IDS, self.label_ids, gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.UINT32
            )
        writer.add_add_bos_token(self.starts_with_bos)
        writer.add_add_eos_token(False)
        if self.chat_template is not None:
            writer.add_chat_template(self.chat_template)


def read_vocabularies(tokenizer: Any, folder: Path, size: int) -> Iterator[Vocabulary]:
    """Ways to write `tokenizer` down, the likeliest first. `size` is the number of embeddings.

    Raises ExportError for kinds of tokenizers that have no place in GGUF.
    """
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is None:
        raise ExportError(f"{folder} has no fast tokenizer (tokenizer.json)")
    data: dict[str, Any] = json.loads(core.to_str())
    model = data["model"]
    if model["type"] != "BPE":
        raise ExportError(
            f"a tokenizer of type {model['type']} cannot be exported: llama.cpp reads BPE, of bytes"
            " or of SentencePiece"
        )
    tokens, types = _tokens(core, size)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    common: dict[str, Any] = {
        "tokens": tokens,
        "special_ids": _special_ids(tokenizer),
        "label_ids": _label_ids(tokenizer),
        "starts_with_bos": _starts_with_bos(tokenizer),
        "chat_template": _chat_template(tokenizer),
    }
    if model.get("byte_fallback"):
        types = [
            int(TokenType.BYTE) if _is_byte(token) else kind
            for token, kind in zip(tokens, types, strict=True)
        ]
        scores = _scores(folder, tokens, merges)
        for prefix in (True, False):
            yield Vocabulary("llama", "default", types=types, scores=scores,
                             space_prefix=prefix, **common)  # fmt: skip
        return
    normalizer = _unicode_form(data["normalizer"])
    likely = _likely_pre(data["pre_tokenizer"])
    for pre in sorted(_PRE, key=lambda pre: pre != likely):
        yield Vocabulary("gpt2", pre, types=types, merges=merges, normalizer=normalizer, **common)


def _tokens(core: Any, size: int) -> tuple[list[str], list[int]]:
    """Text and type of every id below `size`; ids that no token has are unused."""
    added = core.get_added_tokens_decoder()
    tokens = [f"[PAD{token}]" for token in range(size)]
    types = [int(TokenType.UNUSED)] * size
    for text, token in core.get_vocab(with_added_tokens=True).items():
        if token >= size:
            raise ExportError(
                f"the token {text!r} has the id {token}, and the model {size} embeddings"
            )
        tokens[token] = text
        entry = added.get(token)
        kind = TokenType.NORMAL if entry is None else (
            TokenType.CONTROL if entry.special else TokenType.USER_DEFINED
        )  # fmt: skip
        types[token] = int(kind)
    return tokens, types


def _likely_pre(pre_tokenizer: dict[str, Any] | None) -> str:
    """What the configuration looks like; the first one to try."""
    parts = (pre_tokenizer or {}).get("pretokenizers", [pre_tokenizer or {}])
    for part in parts:
        if part.get("type") == "Split" and (found := _SPLITS.get(part["pattern"].get("Regex"))):
            return found
        if part.get("type") == "Digits" and part["individual_digits"]:
            return "smollm"
    return _PRE[0]


def _is_byte(token: str) -> bool:
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">")


def _scores(folder: Path, tokens: list[str], merges: list[str]) -> list[float]:
    """SentencePiece merges the pair of the best score: the model's own scores, or the order of
    merges, of which the first is the best."""
    own = folder / "tokenizer.model"
    if own.is_file():
        from sentencepiece import SentencePieceProcessor

        pieces = SentencePieceProcessor()
        pieces.LoadFromFile(str(own))
        known = {
            pieces.IdToPiece(token): float(pieces.GetScore(token))
            for token in range(pieces.GetPieceSize())
        }
        return [known.get(token, _UNUSED_SCORE) for token in tokens]
    ranks: dict[str, float] = {}
    for rank, merge in enumerate(merges):
        ranks.setdefault(merge.replace(" ", ""), -float(rank))
    return [ranks.get(token, _UNUSED_SCORE) for token in tokens]


def _special_ids(tokenizer: Any) -> dict[str, int]:
    """By GGUF's names; what the tokenizer has not stays unwritten."""
    ids = {
        "bos": tokenizer.bos_token_id,
        "eos": tokenizer.eos_token_id,
        "unknown": tokenizer.unk_token_id,
        "padding": tokenizer.pad_token_id,
    }
    return {name: int(token) for name, token in ids.items() if token is not None}


def _label_ids(tokenizer: Any) -> list[int]:
    """Of the query's labels, (no, yes); empty when they are not single tokens."""
    encoder = TokenizerEncoder(tokenizer)
    try:
        return [encoder.label_id(label) for label in LABELS]
    except MismatchError:
        return []


def _starts_with_bos(tokenizer: Any) -> bool:
    start = tokenizer("", add_special_tokens=True)["input_ids"]
    return tokenizer.bos_token_id is not None and start[:1] == [tokenizer.bos_token_id]


def _chat_template(tokenizer: Any) -> str | None:
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, dict):
        template = template.get("default")
    return template or None


def _unicode_form(normalizer: dict[str, Any] | None) -> str:
    """ "" or the name of a Unicode form. Raises ExportError for every other normalizer."""
    if normalizer is None:
        return ""
    parts = normalizer.get("normalizers", [normalizer])
    names = [part["type"] for part in parts]
    if not names:
        return ""
    if len(names) > 1 or names[0] not in ("NFC", "NFD", "NFKC", "NFKD"):
        raise ExportError(f"a tokenizer that normalises by {', '.join(names)} cannot be exported")
    return str(names[0])
