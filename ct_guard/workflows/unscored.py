"""Graded rows that nobody has scored yet: an estimator without a base model scores them in passing,
which takes seconds."""

from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.files import Row, open_rows
from ct_guard.files.paths import STDIO
from ct_guard.store import NO_BASE

if TYPE_CHECKING:
    from ct_guard.store import Manifest

__all__ = ["scored_now"]


def scored_now(source: str | Path, folder: Path, manifest: "Manifest") -> list[Row] | None:
    """The rows of `source` with the columns that `score` adds, by the estimator in `folder`. None
    where its first row has a score already, where it is no file, and for estimators over a base
    model: what that reads is worth a file of its own.

    Raises InputError for a file that cannot be read; what loading the estimator raises.
    """
    if manifest.base.id != NO_BASE or manifest.method != "evidence" or str(source) == STDIO:
        return None
    first = next(iter(open_rows(source)), None)
    if first is None or "logit" in first.fields:
        return None
    from ct_guard.guard import Guard

    from .runs.assessing import Terms, assess

    rows = list(open_rows(source))
    made = assess(Guard(str(folder), "annotate", on_error="raise"), rows, Terms())
    return [
        row._replace(fields={**row.fields, **result})
        for row, result in zip(rows, made, strict=True)
    ]
