"""A scored file as a stream of answers, graded or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ct_guard.certificates import Arithmetic
from ct_guard.errors import InputError
from ct_guard.estimators.weighing import Weighing
from ct_guard.files import Rejected, Row, open_rows, question_answer
from ct_guard.files.columns import cell
from ct_guard.records import QuestionAnswer
from ct_guard.store import Manifest
from ct_guard.store.calibrated import p_correct

from .probabilities import ScoredItem, weighed_logits
from .scored import UNNAMED, arithmetic_of, logit_of

__all__ = ["Answer", "Answers", "read_answers"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A row of a scored file."""

    item: QuestionAnswer | None
    """None where the row cannot be read."""
    p: float | None
    """P(correct) under the estimator's present calibrators; None where it has no score."""
    status: str
    arithmetic: Arithmetic | None


@dataclass(frozen=True)
class Answers:
    """All rows of a scored file, in order."""

    path: str
    rows: tuple[Answer, ...]
    estimators: tuple[str, ...]
    scorers: tuple[str, ...]
    graded: int
    """Rows that say whether the answer is correct."""


def read_answers(
    path: str | Path,
    manifest: Manifest,
    weighing: Weighing | None = None,
    *,
    keep: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
) -> Answers:
    """Read what `ct-guard score` wrote, with the P(correct) that `manifest` makes of it now.

    Args:
        path: the scored file.
        manifest: of the estimator that scored it.
        weighing: what its probabilities follow from beside raw scores (`weighing_of`).
        keep: further columns to read into the items.
        where: column values that a row must have, else it is passed over.

    Raises:
        InputError: the file was not scored, no row is as `where` says, or a value is not what its
            column holds; names file, line and field.
    """
    weighing, found = weighing or Weighing(), _Found()
    for row in open_rows(path):
        if all(cell(row.fields.get(name)) == value for name, value in (where or {}).items()):
            found.add(row, question_answer(row, (*weighing.columns, *keep)))
    if not found.rows:
        raise InputError(f"{path}: no row to watch: check the file and what is asked of it")
    for at, p in zip(found.scored, _p_of(manifest, weighing, found, str(path)), strict=True):
        found.rows[at] = replace(found.rows[at], p=p)
    return Answers(
        path=str(path),
        rows=tuple(found.rows),
        estimators=tuple(found.estimators),
        scorers=tuple(found.scorers),
        graded=found.graded,
    )


class _Found:
    """What was read so far."""

    def __init__(self) -> None:
        self.rows: list[Answer] = []
        self.scored: dict[int, ScoredItem] = {}
        """By place, the rows that have a score."""
        self.estimators: dict[str, None] = {}
        self.scorers: dict[str, None] = {}
        self.graded = 0

    def add(self, row: Row, item: QuestionAnswer | Rejected) -> None:
        fields = row.fields
        if row.error is None and "logit" not in fields:
            raise InputError(
                f"{row.where}: no column 'logit': score the file first (ct-guard score)"
            )
        self.graded += fields.get("correct") not in (None, "")
        if isinstance(item, Rejected):
            self.rows.append(Answer(None, None, item.status, arithmetic_of(row)))
            return
        logit = logit_of(row)
        if logit is not None:
            self.scored[len(self.rows)] = ScoredItem(row, item, logit)
            self.estimators.setdefault(str(fields.get("estimator") or UNNAMED))
            if fields.get("scorer"):
                self.scorers.setdefault(str(fields["scorer"]))
        status = str(fields.get("status") or ("error" if logit is None else "ok"))
        self.rows.append(Answer(item, None, status, arithmetic_of(row)))


def _p_of(manifest: Manifest, weighing: Weighing, found: _Found, path: str) -> list[float]:
    known = list(found.scored.values())
    if not known:
        return []
    items = [one.item for one in known]
    made = p_correct(
        manifest,
        np.array([one.logit for one in known], np.float64),
        [item.model for item in items],
        [item.group for item in items],
        logprobs=[item.logprobs for item in items],
        weighed=weighed_logits(weighing, known, path) if weighing.evidence is not None else None,
        within=weighing.within(items) if weighing.groups else None,
    )
    return [float(one) for one in made.p]
