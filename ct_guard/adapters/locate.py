"""From a name to an estimator's directory."""

import json
from pathlib import Path

from ct_guard.errors import EstimatorError, UsageError

from .hub import is_repo_id, resolve

__all__ = ["MINI", "locate"]

MINI = Path(__file__).parent.parent / "mini"
"""The embedded miniature model: a base and its estimators."""


def locate(source: str | Path, revision: str | None = None, *, offline: bool = False) -> Path:
    """Directory of an estimator: a path, `mini`, `mini:NAME` (`mini:query`, `mini:hybrid`…), or
    the id of a repository on the hub, `owner/name` or `owner/name@revision`. A directory goes
    before the hub. `offline`: the hub's cache only.

    Raises EstimatorError that lists what there is, HubError where the hub cannot help, UsageError
    for a revision of what has none.
    """
    text = str(source)
    repo_id, _, at = text.partition("@")
    if isinstance(source, str) and is_repo_id(repo_id) and not Path(source).exists():
        return resolve(repo_id, revision or at or None, offline=offline)
    if revision is not None:
        raise UsageError(f"a revision goes with an id of the hub's, not with {text!r}")
    if text == "mini" or text.startswith("mini:"):
        index = json.loads((MINI / "index.json").read_text(encoding="utf-8"))
        name = text.partition(":")[2] or index["default"]
        if name not in index["estimators"]:
            known = ", ".join(f"mini:{known}" for known in index["estimators"])
            raise EstimatorError(f"no embedded estimator {text!r}: there are {known}")
        return MINI / name
    folder = Path(source)
    if not folder.is_dir():
        raise EstimatorError(
            f"no estimator at {text!r}: give a directory with a manifest.json, or 'mini' for the"
            " embedded one, or an id of the hub's, 'owner/name'"
        )
    return folder
