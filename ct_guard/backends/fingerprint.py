"""Which base model is this, and are these its very bytes?

A `fingerprint` ties the forms of one base together: a Hugging Face directory and the GGUF files
that were exported from it have the same, as a GGUF file and what is read from it have. A `digest`
is of one form alone, and of all that its arithmetic follows from: no byte of it can be another.
"""

import hashlib
import json
from pathlib import Path

from ct_guard.files.cache import file_digest
from ct_guard.files.untrusted_json import read_json

from .checkpoint import model_folder
from .dequantised import origin

__all__ = ["digest", "fingerprint"]

_SAMPLE = 64 * 1024
_WHOLE = 64 * 1024 * 1024
_TEXT_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_MORE_TEXT_FILES = (
    "added_tokens.json", "merges.txt", "special_tokens_map.json", "tokenizer.model", "vocab.json",
)  # fmt: skip
"""Of tokenizers that have no tokenizer.json, or read these beside it."""
_TEMPLATES = "additional_chat_templates/*.jinja"
_VOCABULARIES = ("*.model", "*.txt", "tekken.json")
"""What else a tokenizer without tokenizer.json may be read from."""
_CONFIG_KEYS = (
    "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
    "num_attention_heads", "num_key_value_heads", "rope_theta", "tie_word_embeddings",
)  # fmt: skip
_SAYS_NOTHING = ("_name_or_path", "transformers_version")
"""Keys of a configuration that change with who saved it."""


def fingerprint(source: str | Path, revision: str | None = None) -> str:
    """Of a directory, a GGUF file, or a hub id that is in the local cache: 16 hex digits, or ""
    when the files cannot be found.

    A directory's is a hash of the architecture, the tokenizer with its chat template, and the
    weights: safetensors files of up to 64 MB whole, of larger ones the head (all names, shapes and
    types), the tail and the size. A GGUF file's is that of the directory it was exported from,
    where its header names one, else a hash of the file.
    """
    if (gguf := origin(source)) is not None:
        return gguf.fingerprint
    folder = model_folder(source, revision)
    if folder is None:
        return ""
    made = hashlib.sha256()
    config = read_json(folder / "config.json", finite=False)
    made.update(json.dumps({key: config.get(key) for key in _CONFIG_KEYS}).encode())
    for name in _TEXT_FILES:
        if (folder / name).is_file():
            made.update(name.encode() + (folder / name).read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        _add_sample(made, path)
    return made.hexdigest()[:16]


def digest(source: str | Path, revision: str | None = None) -> str:
    """Hash of everything that a score follows from: every weight, every key of the configuration,
    the tokenizer with its chat template; of a GGUF file, the file. 64 hex digits, or "" when the
    files cannot be found. Large files are read through once (see `file_digest`)."""
    if (gguf := origin(source)) is not None:
        return gguf.digest
    folder = model_folder(source, revision)
    if folder is None:
        return ""
    made = hashlib.sha256()
    config = read_json(folder / "config.json", finite=False)
    kept = {key: value for key, value in config.items() if key not in _SAYS_NOTHING}
    made.update(json.dumps(kept, sort_keys=True).encode())
    weights = sorted(folder.glob("*.safetensors"))
    for path in [*_texts(folder), *weights]:
        made.update(f"\n{path.name} {file_digest(path)}".encode())
    return made.hexdigest()


def _texts(folder: Path) -> list[Path]:
    """The files that a tokenizer and its chat templates may be read from."""
    named = [folder / name for name in (*_TEXT_FILES, *_MORE_TEXT_FILES)]
    found = [*filter(Path.is_file, named), *sorted(folder.glob(_TEMPLATES))]
    if not (folder / "tokenizer.json").is_file():
        found += [path for pattern in _VOCABULARIES for path in sorted(folder.glob(pattern))]
    return list(dict.fromkeys(found))


def _add_sample(made: "hashlib._Hash", path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE:
            made.update(file.read())
            return
        made.update(file.read(_SAMPLE))
        file.seek(size - _SAMPLE)
        made.update(file.read(_SAMPLE))
        made.update(str(size).encode())
