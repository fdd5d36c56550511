"""A GGUF file as a base: which file is meant, and what its weights are unpacked into, once for each
form that a backend reads.

A directory lies in the cache under the hash of its file, so that the same file is never unpacked
twice, wherever it lies, and another is never taken for it.
"""

import json
import logging
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ct_guard.errors import BackendError, MissingExtraError
from ct_guard.files.cache import cache_folder, file_digest
from ct_guard.files.replacing import naming

if TYPE_CHECKING:
    from .gguf_info import GGUFInfo

__all__ = ["ORIGIN", "Origin", "local_form", "origin", "unpacked"]

ORIGIN = "ct_guard_origin.json"
"""In an unpacked directory: which file it was made from, and the hashes of what was made."""

_LOGGER = logging.getLogger("ct_guard.backends")
_FORM = "1"
"""Of Hugging Face's directories; the next way to unpack makes new ones."""


class Origin(NamedTuple):
    """A GGUF file that is a base."""

    file: str
    fingerprint: str
    """Of the directory that it was exported from, where its header names one; else its own."""
    digest: str
    """SHA-256 of the file."""


def origin(source: str | Path) -> Origin | None:
    """The GGUF file that a base is: the file itself, the only one of a directory without a model of
    another kind, or the one that a directory of the cache was made from. None for other bases.

    Raises BackendError for a file that is no GGUF, MissingExtraError without the extra `gguf`.
    """
    path = Path(source)
    if path.is_dir():
        if path.resolve().parent == _place().resolve() and (path / ORIGIN).is_file():
            return Origin(**_note(path)["origin"])
        other = any((path / name).is_file() for name in ("config.json", "adapter_config.json"))
        found = [] if other else sorted(path.glob("*.gguf"))
        if len(found) != 1:
            return None
        path = found[0]
    if not path.is_file():
        return None
    try:
        about = path.stat()
        state = (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)
        return _origin_of(path.resolve(), state)
    except OSError as error:
        raise BackendError(f"cannot read the base model {path}: {error.strerror}") from error


@lru_cache(maxsize=8)
def _origin_of(path: Path, state: tuple[int, ...]) -> Origin:
    """Of a file in this state: a header may hold 300,000 texts, and is read once."""
    try:
        from .gguf_header import InvalidGGUF, read_header
        from .gguf_info import FINGERPRINT
    except ModuleNotFoundError as error:
        raise MissingExtraError("a GGUF file", "gguf") from error
    try:
        named = read_header(path).fields.get(FINGERPRINT)
    except InvalidGGUF as error:
        raise BackendError(
            f"cannot use the base model {path}: {error}; fetch or export it again"
        ) from error
    digest = file_digest(path)
    return Origin(str(path), digest[:16] if named is None else str(named.value), digest)


def local_form(source: str | Path) -> str | Path:
    """What Hugging Face's libraries load for a base: `source`, or the directory of a GGUF file's
    weights, which takes a while when the file is new. Several processes may ask at once.

    Raises BackendError where the file cannot be read or unpacked.
    """
    found = origin(source)
    return source if found is None else unpacked(found, _FORM, _dequantise)


def unpacked(found: Origin, form: str, make: Callable[["GGUFInfo", Path], None]) -> Path:
    """The directory of a file's weights in a form, which `make` fills where it is not there yet.
    Several processes may ask at once.

    Raises BackendError where the file cannot be read or unpacked.
    """
    from filelock import FileLock  # comes with the extras that read GGUF files

    folder = _place() / f"{found.digest[:32]}-{form}"
    try:
        if _is_whole(folder):
            return folder
        with naming(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock"):
                if not _is_whole(folder):
                    _make(found, folder, make)
    except OSError as error:
        raise BackendError(
            f"cannot unpack {found.file} to {folder}: {error.strerror or error}; make room, or name"
            " another folder in CT_GUARD_CACHE"
        ) from error
    return folder


def _dequantise(info: "GGUFInfo", folder: Path) -> None:
    from .dequantise import dequantise

    dequantise(info, folder)


def _make(found: Origin, folder: Path, make: Callable[["GGUFInfo", Path], None]) -> None:
    from .gguf_file import validate_base

    info = validate_base(Path(found.file))
    _LOGGER.warning("Unpacking %s: this is done once, and kept in %s", found.file, folder)
    scratch = folder.with_name(f"{folder.name}.new")
    for leftover in (scratch, folder):  # of a run that was killed, or damaged
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        make(info, scratch)
        made = {path.name: file_digest(path) for path in sorted(scratch.iterdir())}
        note = {"origin": found._asdict(), "files": made}
        (scratch / ORIGIN).write_text(json.dumps(note, indent=1), encoding="utf-8")
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    """Whether every file is there as it was written."""
    if not (folder / ORIGIN).is_file():
        return False
    try:
        files: dict[str, str] = _note(folder)["files"]
        return all(file_digest(folder / name) == digest for name, digest in files.items())
    except (OSError, BackendError):
        return False


def _note(folder: Path) -> dict[str, Any]:
    try:
        note = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        return {"origin": dict(note["origin"]), "files": dict(note["files"])}
    except (ValueError, KeyError, TypeError) as error:
        raise BackendError(f"{folder / ORIGIN} is damaged: remove {folder}") from error


def _place() -> Path:
    return cache_folder() / "dequantised"
