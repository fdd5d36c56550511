"""Which of the ways to write a tokenizer down does llama.cpp read as the original does?"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gguf

from ct_guard.backends.gguf_probe import first_difference
from ct_guard.errors import BackendError, ExportError

from .tokenizer import Vocabulary
from .writing import write

__all__ = ["matching_vocabulary"]


def matching_vocabulary(
    tokenizer: Any, candidates: Iterable[Vocabulary], architecture: str, scratch: Path
) -> Vocabulary:
    """The first candidate with which llama.cpp encodes every probe as `tokenizer` does.

    Writes and removes `scratch`. Raises ExportError that names the text on which the best fails.
    """
    failed: list[tuple[int, str, str]] = []
    for vocabulary in candidates:
        try:
            writer = gguf.GGUFWriter(scratch, architecture)
            vocabulary.describe(writer)
            write(writer)
            passed, text = first_difference(tokenizer, scratch, vocabulary.normalizer)
        except BackendError as error:
            raise ExportError(
                f"llama.cpp cannot read this tokenizer ({error}); use `backend` transformers"
            ) from error
        finally:
            scratch.unlink(missing_ok=True)
        if text is None:
            return vocabulary
        failed.append((passed, vocabulary.pre, text))
    _, pre, text = max(failed, key=lambda entry: entry[0])
    raise ExportError(
        f"llama.cpp would encode {text!r} otherwise than this tokenizer does (closest of its"
        f" {len(failed)} ways: {pre!r}); use `backend` transformers"
    )
