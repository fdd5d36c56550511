"""Change what an estimator's manifest says, in place or in a copy, without a half-written state."""

from collections.abc import Mapping
from pathlib import Path

from ct_guard.files.replacing import replacing

from .directory import check_target, save_estimator, sha256, write_manifest
from .locate import EMBEDDED, MINI
from .manifest import BaseModelRef, Manifest
from .questions import dump_questions, questions_name

__all__ = ["revise_estimator"]


def revise_estimator(
    source: Path,
    target: Path,
    manifest: Manifest,
    *,
    questions: Mapping[str, frozenset[str]],
    overwrite: bool = False,
) -> Manifest:
    """Write `manifest`, a changed manifest of the estimator at `source`, to `target`.

    Where `target` is `source`, new files come first and the manifest is replaced last, in one step:
    at every moment the directory is the old estimator or the new one. Otherwise the files that the
    manifest names are copied, and the directory appears whole, under a name of its own.

    Args:
        source: the estimator's directory, verified by `load_manifest`.
        target: the same directory, or another one.
        manifest: what is to be written; `files` and `questions` are filled in here.
        questions: hashes of the questions by split, see `adapters.questions`; none: no such file.
        overwrite: whether another estimator at `target` may be replaced.

    Returns:
        The manifest as written.

    Raises:
        OutputExistsError: `target` exists and may not be replaced, or is no estimator.
    """
    kept = {name: source / name for name in manifest.files if name != manifest.questions}
    content = dump_questions(questions) if questions else None
    name = questions_name(content) if content is not None else None
    if target.exists() and target.samefile(source):
        return _in_place(source, manifest, name, content)
    check_target(target, overwrite=overwrite)
    added = {name: content} if name is not None and content is not None else {}
    base = _base_seen_from(target, source, manifest.base)
    changed = manifest.model_copy(
        update={"name": target.resolve().name, "questions": name, "base": base}
    )
    return save_estimator(target, changed, files={**kept, **added}, overwrite=overwrite)


def _in_place(
    folder: Path, manifest: Manifest, name: str | None, content: bytes | None
) -> Manifest:
    old = manifest.questions
    files = {known: digest for known, digest in manifest.files.items() if known != old}
    if name is not None and content is not None:
        with replacing(folder / name) as building:
            building.write_bytes(content)
        files[name] = sha256(folder / name)
    changed = manifest.model_copy(update={"questions": name, "files": files})
    write_manifest(folder, changed)
    if old is not None and old != name:
        (folder / old).unlink(missing_ok=True)
    return changed


def _base_seen_from(target: Path, source: Path, base: BaseModelRef) -> BaseModelRef:
    """A base beside the estimator is found from another directory by its full path."""
    if not base.id.startswith("."):
        return base
    place = (source / base.id).resolve()
    if (target.parent.resolve() / target.name / base.id).resolve() == place:
        return base
    embedded = place == (MINI / "base").resolve()
    return base.model_copy(update={"id": EMBEDDED if embedded else str(place)})
