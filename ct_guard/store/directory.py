"""The estimator's directory: the manifest and the files that it names, each with its SHA-256. Read
and verified, and written whole or not at all."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from ct_guard.errors import ManifestError, OutputExistsError
from ct_guard.files.replacing import naming, replacing
from ct_guard.files.untrusted_json import JsonError, read_json

from .coherence import check_coherent
from .hub import is_snapshot
from .lora_config import LORA_CONFIG, in_order
from .manifest import ADAPTER_FILES, MANIFEST, Manifest, manifest_text

__all__ = [
    "check_target",
    "load_manifest",
    "save_estimator",
    "sha256",
    "take_place",
    "with_file",
    "write_manifest",
]


def load_manifest(folder: Path) -> Manifest:
    """Read and verify a manifest: its form, its files' hashes, and that its parts fit together.
    Raises ManifestError in one line that says what does not."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ManifestError(f"no {MANIFEST} in {folder}: this is not an estimator directory")
    try:
        data = read_json(path)
    except JsonError as error:
        raise ManifestError(
            f"{path} is not valid JSON ({error}): restore it from its source"
        ) from error
    version = data.get("schema_version")
    if version != 1:
        raise ManifestError(
            f"{path} has schema version {version!r}, this ct-guard reads 1: upgrade ct-guard"
        )
    try:
        manifest = Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ManifestError(f"{path}: field {where!r}: {first['msg']}") from error
    for name, expected in manifest.files.items():
        file = folder / name
        if not any(file.resolve().is_relative_to(root) for root in _roots(folder)):
            raise ManifestError(f"{path} names a file outside its directory: {name!r}")
        if not file.is_file():
            raise ManifestError(f"{file} is missing: restore the estimator from its source")
        if sha256(file) != expected:
            raise ManifestError(
                f"{file} differs from its hash in {MANIFEST}: it was changed or damaged;"
                " restore the estimator from its source"
            )
    try:
        check_coherent(manifest)
    except ManifestError as error:
        raise ManifestError(f"{folder}: {error}") from error
    return manifest


def _roots(folder: Path) -> list[Path]:
    """Where the files of an estimator may lie: in its directory; in the hub's cache they are links
    to contents that lie beside the snapshots."""
    here = folder.resolve()
    return [here, here.parents[1] / "blobs"] if is_snapshot(here) else [here]


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Make sure that an estimator may be written to `folder`. Raises OutputExistsError where it
    exists and may not be replaced, or is no estimator: nothing else is ever overwritten."""
    if folder.exists() and not overwrite:
        raise OutputExistsError(f"{folder} exists already: choose another name, or `overwrite` it")
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise OutputExistsError(f"{folder} exists and is no estimator: choose another name")


def save_estimator(
    folder: Path,
    manifest: Manifest,
    *,
    adapter: Path | None = None,
    invocation: Sequence[int] = (),
    files: Mapping[str, Path | bytes] | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Write an estimator directory in one step: a temporary directory is filled and renamed, so
    that no half-written estimator is ever seen. `adapter` is a folder with a PEFT LoRA, copied in,
    which says of itself that it acts from `invocation` on, the query's ids, where these are given;
    `files` are more files by relative path, to copy or as content.

    Returns the manifest as written. Raises OutputExistsError as `check_target`.
    """
    check_target(folder, overwrite=overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with naming(folder):
            manifest = _filled(building, manifest, adapter, invocation, files or {})
            building.chmod(0o755)
            take_place(building, folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return manifest


def _filled(
    building: Path,
    manifest: Manifest,
    adapter: Path | None,
    invocation: Sequence[int],
    files: Mapping[str, Path | bytes],
) -> Manifest:
    """Write all files of an estimator, the manifest last."""
    if adapter is not None:
        (building / "adapter").mkdir()
        for name in ADAPTER_FILES:
            shutil.copyfile(adapter / name, building / "adapter" / name)
        config = building / "adapter" / LORA_CONFIG
        config.write_bytes(in_order(config.read_bytes(), invocation))
        manifest = manifest.model_copy(update={"adapter": "adapter"})
    for name, content in files.items():
        (building / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            (building / name).write_bytes(content)
        else:
            shutil.copyfile(content, building / name)
    hashes = {
        path.relative_to(building).as_posix(): sha256(path)
        for path in sorted(building.rglob("*"))
        if path.is_file()
    }
    manifest = manifest.model_copy(update={"files": hashes})
    write_manifest(building, manifest)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write or replace the manifest of an estimator's directory, in one step."""
    with replacing(folder / MANIFEST) as building:
        building.write_text(manifest_text(manifest), encoding="utf-8")


def with_file(manifest: Manifest, folder: Path, name: str) -> Manifest:
    """The manifest with the hash of one more file of the directory, or of one that changed."""
    files = {**manifest.files, name: sha256(folder / name)}
    return manifest.model_copy(update={"files": dict(sorted(files.items()))})


def take_place(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`; what stood there is whole until then, and back if that fails."""
    old = new.with_name(f"{new.name}-old")
    if not folder.exists():
        os.replace(new, folder)
        return
    os.replace(folder, old)
    try:
        os.replace(new, folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def sha256(path: Path) -> str:
    """Of the file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
