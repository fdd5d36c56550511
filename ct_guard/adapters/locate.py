"""From a name to an estimator's directory."""

import json
from pathlib import Path

from ct_guard.errors import EstimatorError

from .checkpoint import CHECKPOINT_FILES, import_checkpoint, is_checkpoint
from .fetch import cache_folder, fetch_snapshot
from .published import ORGANISATION, PUBLISHED, published

__all__ = ["MINI", "locate"]

MINI = Path(__file__).parent.parent / "mini"
"""The embedded miniature model: a base and its estimators."""


def locate(source: str | Path) -> Path:
    """Directory of an estimator: a path, `mini`, `mini:NAME` (`mini:query`, `mini:hybrid`…), or the
    hub id of one of the paper's adapters. A checkpoint of the reference, fetched or in a directory,
    is made an estimator once, in `cache_folder`.

    Raises EstimatorError that lists what there is.
    """
    text = str(source)
    if text == "mini" or text.startswith("mini:"):
        index = json.loads((MINI / "index.json").read_text(encoding="utf-8"))
        name = text.partition(":")[2] or index["default"]
        if name not in index["estimators"]:
            known = ", ".join(f"mini:{known}" for known in index["estimators"])
            raise EstimatorError(f"no embedded estimator {text!r}: there are {known}")
        return MINI / name
    folder = Path(source)
    if folder.is_dir():
        if not is_checkpoint(folder):
            return folder
        return import_checkpoint(folder, cache_folder())
    if text.startswith(f"{ORGANISATION}/"):
        adapter = published(text)
        if adapter is None:
            there = ", ".join(PUBLISHED)
            raise EstimatorError(f"no published adapter {text!r}: there are {there}")
        spellings = dict.fromkeys((text, adapter.id, f"{adapter.id}model"))
        fetched = fetch_snapshot(tuple(spellings), CHECKPOINT_FILES)
        return import_checkpoint(fetched, cache_folder(), adapter)
    raise EstimatorError(
        f"no estimator at {text!r}: give a directory with a manifest.json, 'mini' for the embedded"
        " one, or a published adapter ('ct-guard adapters' lists them)"
    )
