"""Change what an estimator's manifest says, in place or in a copy, without a half-written state."""

from collections.abc import Collection, Mapping
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
    added: Mapping[str, bytes] | None = None,
    dropped: Collection[str] = (),
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
        questions: hashes of the questions by split, see `store.questions`; none: no such file.
        added: content of further files, by names that the directory does not have yet.
        dropped: files of the old manifest that the new one has no use for.
        overwrite: whether another estimator at `target` may be replaced.

    Returns:
        The manifest as written.

    Raises:
        OutputExistsError: `target` exists and may not be replaced, or is no estimator.
    """
    new = dict(added or {})
    name = None
    if questions:
        content = dump_questions(questions)
        name = questions_name(content)
        new[name] = content
    old = {*dropped, manifest.questions} - new.keys()
    if target.exists() and target.samefile(source):
        return _in_place(source, manifest.model_copy(update={"questions": name}), new, old)
    check_target(target, overwrite=overwrite)
    kept = {known: source / known for known in manifest.files if known not in old}
    base = _base_seen_from(target, source, manifest.base)
    changed = manifest.model_copy(
        update={"name": target.resolve().name, "questions": name, "base": base}
    )
    return save_estimator(target, changed, files={**kept, **new}, overwrite=overwrite)


def _in_place(
    folder: Path, manifest: Manifest, new: Mapping[str, bytes], old: Collection[str | None]
) -> Manifest:
    files = {known: digest for known, digest in manifest.files.items() if known not in old}
    for name, content in new.items():
        with replacing(folder / name) as building:
            building.write_bytes(content)
        files[name] = sha256(folder / name)
    changed = manifest.model_copy(update={"files": files})
    write_manifest(folder, changed)
    for name in filter(None, old):
        (folder / name).unlink(missing_ok=True)
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
