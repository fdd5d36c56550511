"""An estimator's directory to the hub, and from it."""

import shutil
import tempfile
from pathlib import Path

from ct_guard.errors import MissingExtraError, UsageError

from .card import model_card
from .directory import check_target, load_manifest, take_place
from .hub import endpoint, is_repo_id, shown_endpoint, token, translated
from .locate import EMBEDDED, locate
from .manifest import MANIFEST, Manifest, manifest_text

__all__ = ["pull_estimator", "push_estimator"]

CARD = "README.md"


def push_estimator(
    folder: Path,
    repo_id: str,
    *,
    base_id: str | None = None,
    revision: str | None = None,
    private: bool = False,
    message: str | None = None,
) -> str:
    """Upload the estimator at `folder`, every file that its manifest names, with a model card, in
    one commit; the repository is made where there is none. Returns the commit's URL.

    `base_id` is the base model's id on the hub, for estimators whose manifest names a directory of
    this machine. The token comes from `HF_TOKEN`.

    Raises ManifestError for files that fail their hashes, UsageError without a token or with a base
    that nobody else has, HubError where the hub refuses.
    """
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
    except ModuleNotFoundError as error:
        raise MissingExtraError("the hub", "torch") from error
    manifest = load_manifest(folder)
    if not is_repo_id(repo_id):
        raise UsageError(f"{repo_id!r} is no id of the hub's: give 'owner/name'")
    if base_id is not None:
        manifest = manifest.model_copy(
            update={"base": manifest.base.model_copy(update={"id": base_id})}
        )
    if not is_repo_id(manifest.base.id) and manifest.base.id != EMBEDDED:
        raise UsageError(
            f"the base model of {folder} is {manifest.base.id!r}, a place on this machine: give its"
            " id on the hub with `base`"
        )
    if token() is None:
        raise UsageError(
            "pushing needs a token: set HF_TOKEN to one with write access, from"
            f" {shown_endpoint()}/settings/tokens"
        )
    contents: dict[str, bytes | str] = {
        MANIFEST: manifest_text(manifest).encode(),
        CARD: model_card(manifest, repo_id).encode(),
        **{name: str(folder / name) for name in manifest.files if name != CARD},
    }
    with translated(repo_id, revision):
        api = HfApi(endpoint=endpoint(), token=token())
        api.create_repo(repo_id, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        commit = api.create_commit(
            repo_id,
            [
                CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
                for name, content in contents.items()
            ],
            commit_message=message or f"Estimator {manifest.name}",
            revision=revision,
        )
    return str(commit.commit_url)


def pull_estimator(
    repo_id: str,
    folder: Path,
    *,
    revision: str | None = None,
    offline: bool = False,
    overwrite: bool = False,
) -> Manifest:
    """Fetch an estimator into `folder`: its manifest, the files that it names and its card, after
    every hash was verified. The directory appears whole, or not at all.

    Raises HubError, ManifestError, OutputExistsError.
    """
    check_target(folder, overwrite=overwrite)
    source = locate(repo_id, revision, offline=offline)
    manifest = load_manifest(source)
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name in dict.fromkeys((MANIFEST, CARD, *manifest.files)):
            if name == CARD and not (source / name).is_file():
                continue
            (building / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, building / name)
        load_manifest(building)
        building.chmod(0o755)
        take_place(building, folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return manifest
