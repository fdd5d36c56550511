"""Which base model is this? A hash, quick on large checkpoints, that notices exchanged files."""

import hashlib
import json
from pathlib import Path
from typing import Any

__all__ = ["file_fingerprint", "fingerprint"]

_SAMPLE = 64 * 1024
_WHOLE = 64 * 1024 * 1024
_TEXT_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_CONFIG_KEYS = (
    "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
    "num_attention_heads", "num_key_value_heads", "rope_theta", "tie_word_embeddings",
)  # fmt: skip


def fingerprint(source: str | Path, revision: str | None = None) -> str:
    """Hash of the architecture, the tokenizer with its chat template, and the weights: safetensors
    files of up to 64 MB whole, of larger ones the head (all names, shapes and types), the tail and
    the size. Not all is read there: weights may be 100 GB.

    `source` is a directory or a hub id that is in the local cache. Returns 16 hex digits, or ""
    when the files cannot be found.
    """
    folder = _folder(source, revision)
    if folder is None:
        return ""
    digest = hashlib.sha256()
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    digest.update(json.dumps({key: config.get(key) for key in _CONFIG_KEYS}).encode())
    for name in _TEXT_FILES:
        if (folder / name).is_file():
            digest.update(name.encode() + (folder / name).read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        _add_file(digest, path)
    return digest.hexdigest()[:16]


def file_fingerprint(path: Path) -> str:
    """The same for a base model in one file, which holds all of it. Returns 16 hex digits."""
    digest = hashlib.sha256()
    _add_file(digest, path)
    return digest.hexdigest()[:16]


def _add_file(digest: "hashlib._Hash", path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE:
            digest.update(file.read())
            return
        digest.update(file.read(_SAMPLE))
        file.seek(size - _SAMPLE)
        digest.update(file.read(_SAMPLE))
        digest.update(str(size).encode())


def _folder(source: str | Path, revision: str | None) -> Path | None:
    if Path(source).is_dir():
        return Path(source) if (Path(source) / "config.json").is_file() else None
    from transformers.utils.hub import cached_file

    found = cached_file(
        str(source), "config.json", revision=revision, _raise_exceptions_for_missing_entries=False
    )
    return Path(found).parent if found else None
