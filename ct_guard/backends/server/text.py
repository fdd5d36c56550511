"""The tokenizer of a served base, read here: texts are encoded on this side, and ids are sent."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ct_guard.backends.dequantised import origin
from ct_guard.backends.fingerprint import fingerprint
from ct_guard.errors import BackendError, MissingExtraError
from ct_guard.query import Encoder

__all__ = ["LocalText", "load_text"]


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class LocalText:
    """What is known of a base without its weights."""

    encoder: Encoder
    size: int
    """Of the vocabulary."""
    fingerprint: str
    """Of the files here; "" where they are the tokenizer's alone."""
    close: Callable[[], None] = _nothing


def load_text(source: str | Path, revision: str | None = None) -> LocalText:
    """From a directory, a GGUF file or a hub id, of which the weights are not loaded and need not
    be here.

    Raises BackendError where there is no tokenizer, MissingExtraError where a library is missing.
    """
    gguf = origin(source)
    if gguf is not None:
        return _of_gguf(Path(gguf.file), gguf.fingerprint)
    try:
        from ct_guard.backends.pretrained import FAULTS, loading_problem, quiet
        from ct_guard.backends.tokenizer_file import load_tokenizer
        from ct_guard.backends.tokens import TokenizerEncoder
    except ModuleNotFoundError as error:
        raise MissingExtraError("the tokenizer of a served model", "torch") from error
    try:
        with quiet():
            tokenizer = load_tokenizer(source, revision)
    except FAULTS as error:
        raise BackendError(
            f"cannot load the tokenizer of {str(source)!r}: {loading_problem(error)}"
        ) from error
    whole = Path(source).is_dir() and any(Path(source).glob("*.safetensors"))
    return LocalText(
        TokenizerEncoder(tokenizer), len(tokenizer), fingerprint(source) if whole else ""
    )


def _of_gguf(path: Path, fingerprint: str) -> LocalText:
    try:
        from ct_guard.backends.gguf_file import validate_base
        from ct_guard.backends.llama_cpp.model import Model
        from ct_guard.backends.llama_cpp.vocabulary import Vocabulary
    except ModuleNotFoundError as error:
        raise MissingExtraError("the tokenizer in a GGUF file", "gguf") from error
    model = Model(validate_base(path), vocabulary_only=True)
    vocabulary = Vocabulary(model)

    def close() -> None:
        vocabulary.close()
        model.free()

    return LocalText(vocabulary, model.vocabulary_size, fingerprint, close)
