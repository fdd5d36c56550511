"""From a name to an estimator's directory."""

import json
from pathlib import Path

from ct_guard.errors import EstimatorError

__all__ = ["MINI", "locate"]

MINI = Path(__file__).parent.parent / "mini"
"""The embedded miniature model: a base and its estimators."""


def locate(source: str | Path) -> Path:
    """Directory of an estimator: a path, `mini`, or `mini:NAME` (`mini:query`, `mini:hybrid`…).

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
    if not folder.is_dir():
        raise EstimatorError(
            f"no estimator at {text!r}: give a directory with a manifest.json, or 'mini' for the"
            " embedded one"
        )
    return folder
