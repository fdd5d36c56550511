"""The tokenizer inside a GGUF file, behind the encoder seam: user text never becomes special
tokens."""

import ctypes
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

from ct_guard.backends.chat_template import ChatTemplate
from ct_guard.backends.gguf_info import LABEL_IDS, NORMALIZER, GGUFInfo
from ct_guard.backends.segments import PLAIN_TEXT_IS_SPECIAL, segment_encoder, single_id
from ct_guard.backends.template_tokens import (
    added_markup,
    apart_from,
    rendered_probes,
    vocabulary_markup,
)
from ct_guard.errors import BackendError, MismatchError, UsageError
from ct_guard.forks import ForkLock
from ct_guard.query import LABELS
from ct_guard.records import Message

from .library import library
from .model import Model

__all__ = ["Vocabulary"]

_PIECE_BYTES = 256
_USER_DEFINED = 4
"""Type of the tokens that are found in any text, before it is split into words."""
_WITHOUT_REGEX = {
    "gpt-2", "phi-2", "llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "qwen2",
    "deepseek-r1-qwen", "starcoder", "refact", "command-r", "smollm",
}  # fmt: skip
"""Byte-level tokenizers that llama.cpp splits texts for with code of its own. For the others it
uses regular expressions that recurse for each character of a match, and end the process when the
stack is full: at about 20,000 characters of 8 MiB."""
_LONG_RUN = re.compile(r"\S{4096}|\s{4096}")


class Vocabulary:
    """Text to ids and back. It has a lock of its own, so that text is encoded while the model
    computes; `close` waits for it."""

    def __init__(self, model: Model) -> None:
        self._c = library()
        self._vocabulary = model.vocabulary
        self._size = model.vocabulary_size
        self.chat_template = ChatTemplate(model.info.chat_template, model.info.special_tokens)
        self._form: Any = model.info.get(NORMALIZER, "")
        known = model.info.get(LABEL_IDS, ())
        self._labels = dict(zip(LABELS, map(int, known), strict=False))
        pre = model.info.get("tokenizer.ggml.pre", "default")
        bytelevel = model.info.get("tokenizer.ggml.model") == "gpt2"
        self._recurses = bytelevel and pre not in _WITHOUT_REGEX
        self._lock = ForkLock()
        self._closed = False
        encode_trusted = segment_encoder(partial(self._tokenize, special=True))
        self._cached = lru_cache(maxsize=4096)(lambda text: tuple(encode_trusted(text)))
        self._piece = lru_cache(maxsize=1 << 16)(self._read_piece)
        self._is_control = lru_cache(maxsize=1 << 16)(self._read_control)
        bos = int(self._c.llama_vocab_bos(self._vocabulary))
        begins = bos >= 0 and self._c.llama_vocab_get_add_bos(self._vocabulary)
        self.start_ids: tuple[int, ...] = (bos,) if begins else ()
        self.end_tokens = frozenset(
            token
            for token in range(self._size)
            if self._c.llama_vocab_is_eog(self._vocabulary, token)
        )
        """What a model ends its answer with."""
        self._marks = self._template_marks(model.info)
        self._encode_plain = apart_from(
            self._marks.values(),
            segment_encoder(partial(self._tokenize, special=False)),
            self._is_marked,
        )

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        if not text:
            return []
        with self._working():
            if special:
                return list(self._cached(self._normal(text)))
            return self._encode_plain(self._normal(text))

    def encode_whole(self, text: str) -> list[int]:
        with self._working():
            ids = self._tokenize(self._normal(text), special=False)
            if self._is_marked(ids):
                raise MismatchError(PLAIN_TEXT_IS_SPECIAL)
            return [*self.start_ids, *ids]

    def decode(self, ids: Sequence[int]) -> str:
        """Without special tokens; bytes that are no whole character become U+FFFD."""
        with self._working():
            return b"".join(map(self._piece, ids)).decode("utf-8", "replace")

    def label_id(self, label: str) -> int:
        """Found as the reference does, with the tokenizer's own dummy prefix where it has one;
        an exported file says what the original tokenizer found."""
        if label in self._labels:
            return self._labels[label]
        with self._working():
            ids = self._tokenize(self._normal(label), special=True)
        return single_id(label, ids)

    def render_chat(self, messages: Sequence[Message], *, generation_prompt: bool) -> str:
        return self.chat_template.render(messages, generation_prompt=generation_prompt)

    def close(self) -> None:
        with self._lock:
            self._closed = True

    # --- inside; the lock is held ---------------------------------------------------------------

    @contextmanager
    def _working(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise BackendError("this backend is closed")
            yield

    def _tokenize(self, text: str, *, special: bool) -> list[int]:
        if self._recurses and _LONG_RUN.search(text):
            raise UsageError(
                "a text of 4,096 characters without a space, or of nothing else, is too long for"
                " this tokenizer in llama.cpp: break it up, or use the transformers backend"
            )
        # A lone surrogate cannot be encoded; it stands for bytes that were no text to begin with.
        data = text.encode("utf-8", "replace")
        room = len(data) + 2
        ids = (ctypes.c_int32 * room)()
        count = self._c.llama_tokenize(self._vocabulary, data, len(data), ids, room, False, special)
        if count < 0:
            raise UsageError(f"a text of {len(data)} bytes cannot be tokenised: shorten it")
        return ids[:count]

    def _read_piece(self, token: int) -> bytes:
        if not 0 <= token < self._size:
            raise UsageError(f"the token id {token} is not in the vocabulary of {self._size}")
        room = _PIECE_BYTES
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = self._c.llama_token_to_piece(self._vocabulary, token, buffer, room, 0, False)
            if count >= 0:
                return buffer.raw[:count]
            room = -count

    def _normal(self, text: str) -> str:
        return unicodedata.normalize(self._form, text) if self._form else text

    def _template_marks(self, info: GGUFInfo) -> dict[int, str]:
        """The template's marks and the ends of an answer by id, whatever their type; llama.cpp
        itself leaves only those of type "control" alone."""
        written = rendered_probes(
            lambda turns, prompt: self.render_chat(turns, generation_prompt=prompt)
        )
        tokens = list(map(str, info.get("tokenizer.ggml.tokens", ())))
        types = [int(kind) for kind in info.get("tokenizer.ggml.token_type", ())]
        added = [tokens[at] for at, kind in enumerate(types) if kind == _USER_DEFINED]
        marks = added_markup(added, f"{written}\n{self.chat_template.source}")
        marks |= vocabulary_markup(tokens, written)
        return {
            at: token
            for at, token in enumerate(tokens)
            if token in marks or (token and at in self.end_tokens)
        }

    def _is_marked(self, ids: list[int]) -> bool:
        return any(one in self._marks or self._is_control(one) for one in set(ids))

    def _read_control(self, token: int) -> bool:
        return bool(self._c.llama_vocab_is_control(self._vocabulary, token))
