"""A Hugging Face base model to one GGUF file."""

from functools import partial
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.chat_template import ChatTemplate
from ct_guard.backends.fingerprint import fingerprint
from ct_guard.backends.gguf_file import validate_base
from ct_guard.backends.gguf_info import FINGERPRINT
from ct_guard.backends.gguf_probe import CONVERSATION, first_difference
from ct_guard.backends.tokenizer_file import load_tokenizer
from ct_guard.backends.tokens import TokenizerEncoder
from ct_guard.errors import BackendError, ExportError, MismatchError

from .architecture import Architecture, read_architecture
from .probe import matching_vocabulary
from .tokenizer import Vocabulary, read_vocabularies
from .weights import Weights
from .writing import OnProgress, Planned, WeightType, fresh, write

__all__ = ["BASE_FILE", "FILE_TYPES", "export_base"]

BASE_FILE = "model.gguf"

FILE_TYPES: dict[WeightType, gguf.LlamaFileType] = {
    "f32": gguf.LlamaFileType.ALL_F32,
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}


def export_base(
    source: Path,
    target: Path,
    *,
    kind: WeightType = "f16",
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> None:
    """Convert a directory of an architecture of `export.architecture` to the file `target`.

    Nothing is left behind unless llama.cpp reads the probe texts exactly as the original tokenizer
    does. Raises ExportError that names what cannot be expressed, OutputExistsError.
    """
    architecture = read_architecture(source)
    weights = Weights.of(source)
    planned = _plan(architecture, weights, kind)
    try:
        tokenizer = load_tokenizer(source)
    except (OSError, ValueError, BackendError) as error:
        raise ExportError(f"cannot read the tokenizer of {source}: {error}") from error
    with fresh(target, overwrite=overwrite) as path:
        vocabulary = matching_vocabulary(
            tokenizer,
            read_vocabularies(tokenizer, source, _rows(weights)),
            architecture.name,
            path,
        )
        writer = gguf.GGUFWriter(path, architecture.name)
        writer.add_type(gguf.GGUFType.MODEL)
        writer.add_name(source.resolve().name)
        writer.add_file_type(FILE_TYPES[kind])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        writer.add_string(FINGERPRINT, fingerprint(source))
        architecture.describe(writer)
        vocabulary.describe(writer)
        write(writer, planned, on_progress)
        _verify(path, tokenizer, vocabulary)


def _rows(weights: Weights) -> int:
    """The vocabulary's size: of embeddings, which may be more than there are tokens."""
    shape = weights.shapes.get("model.embed_tokens.weight")
    if shape is None:
        raise ExportError("the checkpoint has no 'model.embed_tokens.weight'")
    return shape[0]


def _plan(architecture: Architecture, weights: Weights, kind: WeightType) -> list[Planned]:
    _check_tied(architecture, weights)
    tensors = []
    for name, shape in weights.shapes.items():
        found = architecture.gguf_name(name)
        if found is not None:
            tensors.append(
                Planned.of(found, shape, kind, partial(_read, architecture, weights, name))
            )
    for name, values in architecture.extra_tensors().items():
        tensors.append(Planned.of(name, values.shape, "f32", lambda values=values: values))  # type: ignore[misc]
    return tensors


def _check_tied(architecture: Architecture, weights: Weights) -> None:
    read, written = "model.embed_tokens.weight", "lm_head.weight"
    if not architecture.tied or written not in weights.shapes:
        return
    if not np.array_equal(weights.read(written), weights.read(read)):
        raise ExportError(
            "config.json ties the output matrix to the embeddings, and the checkpoint holds one of"
            " its own: set tie_word_embeddings to false, or take it out of the checkpoint"
        )


def _read(architecture: Architecture, weights: Weights, name: str) -> NDArray[np.float32]:
    return architecture.stored(name, weights.read(name))


def _verify(path: Path, tokenizer: object, vocabulary: Vocabulary) -> None:
    """The written file, read again: structure, ids, chat."""
    info = validate_base(path)
    _, text = first_difference(tokenizer, path, vocabulary.normalizer)
    if text is not None:
        raise ExportError(f"the exported tokenizer encodes {text!r} otherwise than the original")
    if info.chat_template is None:
        return
    try:
        expected = TokenizerEncoder(tokenizer).render_chat(CONVERSATION, generation_prompt=True)
    except MismatchError:
        return  # a template of other conversations
    if (
        ChatTemplate(info.chat_template, info.special_tokens).render(
            CONVERSATION, generation_prompt=True
        )
        != expected
    ):
        raise ExportError("the chat template says something else outside of transformers")
