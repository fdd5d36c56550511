"""How far the scores of the same rows moved between two scored files, as of two number formats."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy  # type: ignore[import-untyped]

from ct_guard.errors import InputError
from ct_guard.files import Row, open_rows

__all__ = ["Moved", "moved"]

_SAME = ("id", "question", "context", "messages", "answer")
"""What makes two rows the same."""


@dataclass(frozen=True)
class Moved:
    """Of rows that have a logit in both files."""

    rows: int
    median: float
    """Of the differences in logits, absolute."""
    most: float
    """95% of them are below."""
    largest: float
    spearman: float | None
    """Rank correlation of the logits; None where one file's are all alike."""
    changed: float
    """Share of the rows whose action differs, in [0, 1]."""

    def __str__(self) -> str:
        ranks = "not defined" if self.spearman is None else f"{self.spearman:.3f}"
        return (
            f"{self.rows:,} of the same rows: logits differ by {self.median:.2g} at the median,"
            f" 95% by at most {self.most:.2g}, {self.largest:.2g} at most; Spearman {ranks};"
            f" {self.changed:.1%} of the actions change"
        )


def moved(one: str | Path, other: str | Path) -> Moved:
    """Compare two scored files. Raises InputError where they share no row with a logit."""
    known = dict(_logits(other))
    pairs = [(*found, *known[key]) for key, found in _logits(one) if key in known]
    if not pairs:
        raise InputError(f"{other}: shares no scored row with {one}: score the same rows")
    before, after = (np.array([pair[at] for pair in pairs], np.float64) for at in (2, 0))
    far = np.abs(after - before)
    differ = len(set(before)) > 1 and len(set(after)) > 1
    return Moved(
        rows=len(pairs),
        median=float(np.median(far)),
        most=float(np.quantile(far, 0.95)),
        largest=float(far.max()),
        spearman=float(scipy.stats.spearmanr(before, after).statistic) if differ else None,
        changed=float(np.mean([pair[1] != pair[3] for pair in pairs])),
    )


def _logits(path: str | Path) -> Iterator[tuple[str, tuple[float, str]]]:
    """Logit and action by what makes a row itself; a row that comes again is another one."""
    seen: dict[str, int] = {}
    for row in open_rows(path):
        key = repr([row.fields.get(name) for name in _SAME])
        seen[key] = seen.get(key, 0) + 1
        logit = _logit(row)
        if logit is not None:
            yield f"{key} {seen[key]}", (logit, str(row.fields.get("action")))


def _logit(row: Row) -> float | None:
    value = row.fields.get("logit")
    if value is None or value == "" or isinstance(value, bool):
        return None
    try:
        logit = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{row.where}: field 'logit' must be a number: score it again") from None
    return logit if np.isfinite(logit) else None
