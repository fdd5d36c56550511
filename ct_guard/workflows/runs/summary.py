"""What a run over answers did: counted row by row, and told as one JSON object."""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np

from ct_guard.files import Rejected, Row, correct_of, open_rows
from ct_guard.metrics import accuracy_at_coverage, auroc, ece
from ct_guard.query import clean

from .assessing import EVIDENCE_MISSING, KEPT, WITHIN_NOISE

__all__ = ["Preview", "Quality", "Summary", "graded_rows"]

COVERAGES = (0.5, 0.8, 1.0)


@dataclass(frozen=True)
class Preview:
    """A row as people look at it."""

    question: str
    answer: str
    p: float | None
    action: str
    status: str


@dataclass(frozen=True)
class Quality:
    """A first look at how good the confidences of graded rows are."""

    graded: int
    auroc: float | None
    """None: all grades are alike."""
    ece: float
    accuracy: dict[float, float]
    """By coverage: share of right answers among the most confident."""


@dataclass
class Summary:
    """What a run did. `p` and `correct` hold the rows that have both, for a first look at quality:
    9 bytes a row, all that grows with the file."""

    rows: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    within_noise: int = 0
    """Rows that the noise of the number format alone puts on their side of the threshold."""
    missing: Counter[str] = field(default_factory=Counter)
    """Scored rows by the evidence that they lack."""
    replayed: int = 0
    kept: int = 0
    """Rows whose earlier score was kept."""
    unreadable_grades: int = 0
    p: "array[float]" = field(default_factory=lambda: array("d"))
    correct: bytearray = field(default_factory=bytearray)
    preview: list[Preview] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Rows that are `invalid` or `error`."""
        return self.statuses["invalid"] + self.statuses["error"]

    def count(
        self, rows: Sequence[Row], results: Sequence[dict[str, Any]], preview: int = 0
    ) -> None:
        """Add rows and their results; the first `preview` rows are kept to be looked at. What is
        only noted beside the columns is taken out of the results."""
        self.rows += len(rows)
        self.statuses.update(map(itemgetter("status"), results))
        self.actions.update(map(itemgetter("action"), results))
        for row, result in zip(rows, results, strict=True):
            self.within_noise += result.pop(WITHIN_NOISE, False)
            self.kept += result.pop(KEPT, False)
            self.truncated += bool(result["truncated"])
            if lacking := result.get(EVIDENCE_MISSING):
                self.missing.update(lacking.split(", "))
            if "correct" in row.fields:
                self._grade(row, result["confidence"])
        shown = max(0, preview - len(self.preview))
        self.preview += map(_previewed, rows[:shown], results)

    def _grade(self, row: Row, p: float | None) -> None:
        correct = correct_of(row)
        if isinstance(correct, Rejected):
            self.unreadable_grades += 1
        elif p is not None and correct is not None:
            self.p.append(p)
            self.correct.append(correct)

    def add(self, other: "Summary", preview: int = 0) -> None:
        """Add what was done to another file."""
        for name in ("rows", "truncated", "within_noise", "replayed", "kept", "unreadable_grades"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.statuses += other.statuses
        self.actions += other.actions
        self.missing += other.missing
        self.p.extend(other.p)
        self.correct += other.correct
        self.preview = (self.preview + other.preview)[:preview]

    def quality(self) -> Quality | None:
        """None where no row has both a grade and a confidence."""
        if not len(self.p):
            return None
        p, correct = np.frombuffer(self.p, np.float64), np.frombuffer(self.correct, np.bool_)
        at = {share: accuracy_at_coverage(p, correct, share) for share in COVERAGES}
        return Quality(len(p), auroc(p, correct), ece(p, correct), at)

    def counters(self) -> dict[str, Any]:
        """All but the figures, as JSON values."""
        return {
            "rows": self.rows,
            "failed": self.failed,
            "resumed": self.replayed,
            "kept": self.kept,
            "statuses": dict(self.statuses),
            "actions": dict(self.actions),
            "truncated": self.truncated,
            "within_noise": self.within_noise,
            "evidence_missing": dict(self.missing),
            "unreadable_grades": self.unreadable_grades,
        }

    @classmethod
    def restored(cls, counters: dict[str, Any], graded: Iterable[tuple[float, bool]]) -> "Summary":
        """From the counters of a file that an earlier run finished, and its graded rows."""
        made = cls(
            rows=counters["rows"],
            statuses=Counter(counters["statuses"]),
            actions=Counter(counters["actions"]),
            truncated=counters["truncated"],
            within_noise=counters["within_noise"],
            missing=Counter(counters["evidence_missing"]),
            replayed=counters["rows"],
            kept=counters["kept"],
            unreadable_grades=counters["unreadable_grades"],
        )
        for p, correct in graded:
            made.p.append(p)
            made.correct.append(correct)
        return made

    def as_json(self) -> dict[str, Any]:
        """Counters and figures. What was not measured is None, and says why."""
        quality = self.quality()
        figures: dict[str, Any] = {"graded": len(self.p), "auroc": None, "ece": None}
        if quality is None:
            figures["why_none"] = "no row has both `correct` and a confidence"
        else:
            figures |= {"auroc": quality.auroc, "ece": quality.ece}
            figures["accuracy_at_coverage"] = {
                str(share): value for share, value in quality.accuracy.items()
            }
            if quality.auroc is None:
                figures["why_none"] = "all grades are alike: no ranking to measure"
        return {**self.counters(), "quality": figures}


def _previewed(row: Row, result: dict[str, Any]) -> Preview:
    question, answer = (
        clean(str(row.fields.get(name) or ""))[0] for name in ("question", "answer")
    )
    return Preview(question, answer, result["confidence"], result["action"], result["status"])


def graded_rows(scored: str) -> Iterable[tuple[float, bool]]:
    """P and grade of the rows of a scored file that have both."""
    for row in open_rows(scored, ()):
        p, correct = row.fields.get("confidence"), correct_of(row)
        if p not in (None, "") and isinstance(correct, bool):
            yield float(p), correct
