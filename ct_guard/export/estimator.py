"""A whole estimator for llama.cpp: base and adapter as GGUF files, the manifest naming them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ct_guard.backends.dequantised import local_form, origin
from ct_guard.backends.fingerprint import digest, fingerprint
from ct_guard.backends.gguf_file import validate_adapter, validate_base
from ct_guard.backends.llama_cpp.backend import ADAPTER_FILE
from ct_guard.backends.tokenizer_file import load_tokenizer
from ct_guard.backends.tokens import TokenizerEncoder
from ct_guard.errors import ExportError, MismatchError, OutputExistsError, UsageError
from ct_guard.query import build_query
from ct_guard.store import (
    MANIFEST,
    Manifest,
    base_place,
    check_target,
    load_manifest,
    locate,
    with_file,
    write_manifest,
)

from .adapter import export_adapter
from .architecture import read_architecture
from .base import BASE_FILE, FILE_TYPES, export_base
from .weights import Weights
from .writing import OnProgress, WeightType, fresh

__all__ = ["ADAPTER_FILE", "Exported", "export_estimator"]

_OWN_BASE = "base"
"""Folder of the base in an estimator that was exported to a directory of its own."""

_USUAL: WeightType = "f16"


@dataclass(frozen=True)
class Exported:
    """Files that are there now; `kept` are those of them that were there already and fit."""

    base: Path | None = None
    adapter: Path | None = None
    kept: tuple[Path, ...] = ()

    def moved(self, old: Path, new: Path) -> "Exported":
        """The same files after `old` was renamed to `new`."""
        place = {path: new / path.relative_to(old) for path in (self.base, self.adapter) if path}
        return Exported(
            self.base and place[self.base],
            self.adapter and place[self.adapter],
            tuple(place[path] for path in self.kept),
        )


def export_estimator(
    source: str | Path,
    output: Path | None = None,
    *,
    base: Path | None = None,
    kind: WeightType | None = None,
    only: Literal["base", "adapter"] | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Exported:
    """Export an estimator, or the plain directory of a base model.

    Without `output` the files join what is there: `model.gguf` in the base's directory,
    `adapter.gguf` in the adapter's, named in the manifest. With it, `output` becomes a copy of the
    estimator with a base of its own (of a plain base: the directory of `model.gguf`).

    `kind` None: f16, or the type of the base's file that is there and fits.

    `base` is the base's directory or GGUF file where the manifest names none on this machine. Of a
    base that is a GGUF file the adapter alone is written. Raises ExportError, EstimatorError,
    OutputExistsError.
    """
    if (Path(source) / "config.json").is_file() and not (Path(source) / MANIFEST).is_file():
        if only == "adapter":
            raise UsageError(f"{source} is a base model: it has no adapter to export")
        target = (output or Path(source)) / BASE_FILE
        export_base(
            Path(source), target, kind=kind or _USUAL, overwrite=overwrite, on_progress=on_progress
        )
        return Exported(base=target)
    folder = locate(source)
    manifest = load_manifest(folder)
    if only == "adapter" and manifest.adapter is None:
        raise UsageError(f"{source} has no adapter: its method is {manifest.method!r}")
    model = _base_of(manifest, folder, base)
    wanted = _Wanted(kind, only, overwrite or output is not None, on_progress)
    if output is None:
        made, changed = _export(folder, manifest, model, model.file, wanted)
        if changed != manifest:
            write_manifest(folder, changed)
        return made
    with _copy(folder, output, overwrite=overwrite) as building:
        where = str(model.source) if only == "adapter" else f"./{_OWN_BASE}"
        moved = manifest.base.model_copy(update={"id": where})
        manifest = manifest.model_copy(update={"base": moved})
        target = building / _OWN_BASE / BASE_FILE
        if model.is_file and only != "adapter":
            target.parent.mkdir()
            shutil.copyfile(model.file, target)
        made, manifest = _export(building, manifest, model, target, wanted)
        write_manifest(building, manifest)
    return made.moved(building, output)


@dataclass(frozen=True)
class _Wanted:
    kind: WeightType | None
    only: Literal["base", "adapter"] | None
    overwrite: bool
    on_progress: OnProgress | None


@dataclass(frozen=True)
class _Base:
    """A base model: what is named, and both of its forms."""

    source: Path
    folder: Path
    """Of Hugging Face's form."""
    file: Path
    """The GGUF file, which may not be there yet."""

    @property
    def is_file(self) -> bool:
        """Whether the GGUF file is the original: it is never written."""
        return self.source == self.file


def _export(
    folder: Path, manifest: Manifest, model: _Base, target: Path, wanted: _Wanted
) -> tuple[Exported, Manifest]:
    """Both files, the adapter's under its name only when the base's is there and they fit."""
    if manifest.adapter is None or wanted.only == "base":
        kept = _base(model, target, manifest, wanted)
        made = Exported(base=target, kept=(target,) if kept else ())
        return made, _knowing(manifest, model, target)
    name = f"{manifest.adapter}/{ADAPTER_FILE}"
    invocation = _invocation(manifest, model.folder)
    found: list[Path] = []
    with _adapter(folder, name, manifest, model, wanted, invocation) as path:
        if wanted.only is None and _base(model, target, manifest, wanted):
            found.append(target)
        if target.is_file():
            validate_adapter(path, validate_base(target))
        if path == folder / name:
            found.append(path)
    manifest = with_file(manifest, folder, name)
    if manifest.fields is not None and manifest.fields.adapter is not None:
        of_fields = f"{manifest.fields.adapter}/{ADAPTER_FILE}"
        with _adapter(folder, of_fields, manifest, model, wanted):
            pass
        manifest = with_file(manifest, folder, of_fields)
    base = target if wanted.only is None else None
    return Exported(base, folder / name, tuple(found)), _knowing(manifest, model, target)


@contextmanager
def _adapter(
    folder: Path,
    name: str,
    manifest: Manifest,
    model: _Base,
    wanted: _Wanted,
    invocation: tuple[int, ...] = (),
) -> Iterator[Path]:
    """The adapter's file: the one that the manifest names (it was written from these very weights),
    else a new one, which takes its name when the block ends well."""
    if name in manifest.files and not wanted.overwrite:
        yield folder / name
        return
    with fresh(folder / name, overwrite=wanted.overwrite) as path:
        export_adapter(
            (folder / name).parent,
            path,
            architecture=read_architecture(model.folder),
            base=Weights.of(model.folder),
            base_fingerprint=fingerprint(model.source),
            invocation=invocation,
        )
        yield path


def _base(model: _Base, target: Path, manifest: Manifest, wanted: _Wanted) -> bool:
    """Export the base unless a file of the same base and of a type that will do is there:
    estimators share it. Returns whether it was there."""
    if model.is_file:
        if wanted.kind is not None:
            raise UsageError(
                f"{model.file} is a GGUF file already, in its own precision: leave `kind` out"
            )
        return True
    if target.is_file() and not wanted.overwrite:
        info = validate_base(target)
        same_type = wanted.kind is None or info.get("general.file_type") == int(
            FILE_TYPES[wanted.kind]
        )
        if info.fingerprint == fingerprint(model.source) and same_type:
            return True
        raise OutputExistsError(
            f"{target} exists already, of another base or type: `overwrite` replaces it,"
            " `output` makes a copy of its own, and an export of the adapter alone leaves it"
        )
    export_base(
        model.folder,
        target,
        kind=wanted.kind or _USUAL,
        overwrite=wanted.overwrite,
        on_progress=wanted.on_progress,
    )
    return False


def _knowing(manifest: Manifest, model: _Base, target: Path) -> Manifest:
    """The manifest with the hashes of the forms in which its base is here now."""
    found = [digest(model.source), *([digest(target)] if target.is_file() else [])]
    known = tuple(dict.fromkeys((*manifest.base.digests, *found)))
    base = manifest.base.model_copy(update={"digests": known})
    return manifest.model_copy(update={"base": base})


def _base_of(manifest: Manifest, folder: Path, base: Path | None) -> _Base:
    """The base, verified against the manifest's fingerprint."""
    where = base or base_place(manifest.base.id, folder, revision=manifest.base.revision)
    source = Path(where).resolve()
    gguf = origin(source)
    if gguf is not None:
        model = _Base(Path(gguf.file), Path(local_form(source)), Path(gguf.file))
    elif (source / "config.json").is_file():
        model = _Base(source, source, source / BASE_FILE)
    else:
        raise ExportError(
            f"the base model {manifest.base.id!r} is no directory or GGUF file on this machine:"
            " give it with `base`"
        )
    expected, found = manifest.base.fingerprint, fingerprint(model.source)
    if expected and found != expected:
        raise MismatchError(
            f"{folder} was made for a base with the fingerprint {expected}, and {source} has"
            f" {found}: give the right one with `base`"
        )
    if manifest.base.digests and digest(model.source) not in manifest.base.digests:
        raise MismatchError(
            f"the weights, configuration or tokenizer of {source} are not those that {folder} was"
            " made with: fetch the base again"
        )
    return model


def _invocation(manifest: Manifest, model: Path) -> tuple[int, ...]:
    """The query's ids, when the adapter acts on them alone."""
    if manifest.activation != "query":
        return ()
    return build_query(
        manifest.style, TokenizerEncoder(load_tokenizer(model)), manifest.label_ids
    ).ids


@contextmanager
def _copy(folder: Path, output: Path, *, overwrite: bool) -> Iterator[Path]:
    """A copy of an estimator that takes the place `output` when the block ends well."""
    check_target(output, overwrite=overwrite)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as scratch:
        building = Path(scratch) / "new"
        shutil.copytree(folder, building)
        yield building
        if output.exists():
            output.rename(Path(scratch) / "old")
        building.rename(output)
