"""P(correct) of scored rows under an estimator's present calibrators, from their logits and, where
it weighs any, the evidence in their file."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import InputError
from ct_guard.estimators.weighing import Weighing
from ct_guard.evidence import read_column, weighed
from ct_guard.files import Rejected, Row, open_rows, question_answer
from ct_guard.files.paths import STDIO
from ct_guard.records import QuestionAnswer
from ct_guard.store import Manifest
from ct_guard.store.calibrated import p_correct

from .scored import Scored, logit_of, number_in

__all__ = [
    "ScoredItem",
    "items_of",
    "logits_under",
    "probabilities",
    "read_again",
    "readings_in",
    "weighed_logits",
    "with_confidences_of",
]

Floats = NDArray[np.float64]


class ScoredItem(NamedTuple):
    """A row of a scored file."""

    row: Row
    item: QuestionAnswer
    logit: float | None


def probabilities(scored: Scored, manifest: Manifest, weighing: Weighing | None = None) -> Floats:
    """P(correct) of the rows, shape (n,), as they would be scored now.

    Args:
        scored: rows read with `need="logit"`.
        manifest: of the estimator.
        weighing: what its probabilities follow from beside raw scores (`weighing_of`); it is read
            from the rows' file.

    Raises:
        UsageError: the estimator weighs evidence, and there is no `weighing`.
        InputError: a value that is not what its column holds; names file and row.
    """
    weighing = weighing or Weighing()
    rows = scored.graded
    return p_correct(
        manifest,
        scored.logit,
        [row.model for row in rows],
        logprobs=[row.logprobs for row in rows],
        weighed=logits_under(weighing, scored) if weighing.evidence is not None else None,
        within=weighing.within(items_of(scored, weighing.groups)) if weighing.groups else None,
    ).p


def with_confidences_of(
    manifest: Manifest, scored: Scored, weighing: Weighing | None = None
) -> Scored:
    """The same rows, read with `need="logit"`, with the confidences that they would get now."""
    p = probabilities(scored, manifest, weighing)
    graded = (row._replace(p=float(one)) for row, one in zip(scored.graded, p, strict=True))
    return replace(scored, graded=tuple(graded))


def logits_under(weighing: Weighing, scored: Scored) -> Floats:
    """Raw scores weighed with the evidence in the rows' file, shape (n,); as they are where there
    is none to weigh.

    All answers of the file tell of each other, also those that are not graded or were not chosen:
    so it was when they were scored.
    """
    if weighing.evidence is None:
        return scored.logit
    known = [one for one in _scored_items(scored.path, weighing.columns) if one.logit is not None]
    logits = weighed_logits(weighing, known, scored.path)
    logit_at = {one.row.where: float(made) for one, made in zip(known, logits, strict=True)}
    return np.array([logit_at[row.where] for row in scored.graded])


def weighed_logits(weighing: Weighing, known: Sequence[ScoredItem], path: str) -> Floats:
    """Raw scores of n rows of the file `path`, each of which has one, weighed with the evidence in
    the file, shape (n,); as they are where there is none to weigh."""
    logits = np.array([one.logit for one in known], np.float64)
    if weighing.evidence is None:
        return logits
    readings = readings_in([one.row for one in known], path, weighing.readings)
    readings["logit"] = logits
    found = weighed(
        weighing.evidence,
        [one.item for one in known],
        [one.row.where for one in known],
        readings=readings,
    )
    return np.array([made.logit for made in found])


def items_of(scored: Scored, columns: Sequence[str] = ()) -> list[QuestionAnswer]:
    """The rows once more, in order, with what they hold in further `columns`."""
    return [one.item for one in read_again(scored, columns)]


def read_again(scored: Scored, columns: Sequence[str] = ()) -> list[ScoredItem]:
    """As `items_of`, with all that the file says of each."""
    wanted = {row.where for row in scored.graded}
    found = {
        one.row.where: one for one in _scored_items(scored.path, columns) if one.row.where in wanted
    }
    return [found[row.where] for row in scored.graded]


def readings_in(rows: Sequence[Row], path: str, names: Sequence[str]) -> dict[str, Floats]:
    """What the base model read of scored rows, by name, shapes (n,). Raises InputError where no
    row says it."""
    found = {}
    for name in names:
        values = [number_in(row, read_column(name)) for row in rows]
        if all(value is None for value in values):
            raise InputError(
                f"{path}: no row has a column '{read_column(name)}', the evidence {name}: score the"
                " file again with `readings`"
            )
        found[name] = np.array([np.nan if value is None else value for value in values])
    return found


def _scored_items(path: str, columns: Sequence[str]) -> Iterator[ScoredItem]:
    """Of each readable row of a scored file, which is read again."""
    if path == STDIO:
        raise InputError("these rows are read twice, which standard input cannot be: give a file")
    for row in open_rows(path):
        item = question_answer(row, columns)
        if not isinstance(item, Rejected):
            yield ScoredItem(row, item, logit_of(row))
