"""Does llama.cpp read texts as another tokenizer does? Ids are compared, not configurations.

A pre-tokenizer that differs in one rule changes ids without a word, and every score with them.
"""

import ctypes
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ct_guard.errors import BackendError, MismatchError
from ct_guard.query import LABELS, QUERY_TEXT
from ct_guard.records import Message

from .llama_cpp.library import errors_logged, library
from .segments import segment_encoder
from .tokens import TokenizerEncoder

__all__ = ["CONVERSATION", "PROBES", "first_difference", "starts_with_bos"]

PROBES = (
    QUERY_TEXT,
    *LABELS,
    *(f" {label}" for label in LABELS),
    "The quick brown fox jumps over the lazy dog; THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG.",
    "0 1 22 333 4444 55555 3.14159 1,000,000 -7 +8 1e-9 0xFF 12:34 50% $9.99 2+2=4",
    "a1b2 x10 10x 2nd COVID-19 v1.2.3",
    "\n \n\n \n\n\n \t \t\t\t x\n  y\n   z\r\n\r\n w   \n7\n\n42  9  ",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ -- ... ?!?! (i) [ii] {x} </a> 'q' \"q\"",
    "I'm you're he'll she'd we've it's DON'T I'M YOU'RE 'tis o'clock 'RE 'S",
    "naïve façade Zürich Ångström ñandú Çelik œuvre ß İstanbul ǅ",
    "Привет мир Γειά σου 你好世界 こんにちは 안녕하세요 สวัสดี नमस्ते שלום مرحبا",
    "٣٤ ४५ Ⅻ ½ ² ① 10² x₂",
    "🚀 👩‍👩‍👧 🇩🇪 ❤️ → ≠ ∑ € £ ¥ “quotes” ‘q’ – — … ‰",
    "a\u00a0b\u2003c\u3000d\u200be\ufefff",
    "def f(x):\n    return x ** 2  # square\n\n\tif a != b: pass\n",
)
"""Letters, digits, punctuation, white space, scripts, symbols; the query and its labels."""

CONVERSATION = (
    Message(role="user", content="What is 2 plus 2?"),
    Message(role="assistant", content=" It is 4."),
    Message(role="user", content="Why?"),
)


def first_difference(tokenizer: Any, path: Path, normalizer: str = "") -> tuple[int, str | None]:
    """How many probes llama.cpp encodes alike with the file's tokenizer, and the first text that
    it does not, or None."""
    encoder = TokenizerEncoder(tokenizer)
    passed = 0
    with _tokenizer_of(path) as tokenize:
        encode = {
            special: segment_encoder(partial(tokenize, special=special))
            for special in (False, True)
        }
        for text, special in _texts(encoder, tokenizer):
            form = unicodedata.normalize(normalizer, text) if normalizer else text  # type: ignore[arg-type]
            if encode[special](form) != encoder.encode(text, special=special):
                return passed, text
            passed += 1
    return passed, None


def _texts(encoder: TokenizerEncoder, tokenizer: Any) -> Iterator[tuple[str, bool]]:
    """Probes, and whether special tokens are parsed in them: in our own text they are, in what
    users write they are not."""
    yield from ((text, False) for text in PROBES)
    for token in tokenizer.all_special_tokens:
        if token != tokenizer.unk_token:
            yield f"a {token} b{token}", False
            yield f"{token}Question: {token}\n", True
    try:
        yield encoder.render_chat(CONVERSATION, generation_prompt=True), True
    except MismatchError:
        return  # no chat template, or one of other conversations


def starts_with_bos(path: Path) -> bool:
    """Whether llama.cpp begins every text with the token that begins texts."""
    with _vocabulary_of(path) as vocabulary:
        return bool(library().llama_vocab_get_add_bos(vocabulary))


@contextmanager
def _tokenizer_of(path: Path) -> Iterator[Callable[..., list[int]]]:
    """llama.cpp's tokenizer of a file."""
    with _vocabulary_of(path) as vocabulary:

        def tokenize(text: str, *, special: bool) -> list[int]:
            data = text.encode()
            ids = (ctypes.c_int32 * (len(data) + 2))()
            count = library().llama_tokenize(
                vocabulary, data, len(data), ids, len(ids), False, special
            )
            return list(ids[: max(count, 0)])

        yield tokenize


@contextmanager
def _vocabulary_of(path: Path) -> Iterator[Any]:
    """llama.cpp's vocabulary of a file; no weights are read."""
    llama = library()
    parameters = llama.llama_model_default_params()
    parameters.vocab_only = True
    with errors_logged() as errors:
        model = llama.llama_model_load_from_file(str(path).encode(), parameters)
    if not model:
        raise BackendError(
            f"llama.cpp cannot read the tokenizer of {path}: {' '.join(errors[:1])}; update"
            " llama-cpp-python, or take another file of this model"
        )
    try:
        yield llama.llama_model_get_vocab(model)
    finally:
        llama.llama_model_free(model)
