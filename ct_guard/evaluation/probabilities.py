"""P(correct) of scored rows under an estimator's present calibrators, from their logits and, where
it weighs any, the evidence in their file."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ct_guard.adapters import Manifest
from ct_guard.adapters.calibrated import p_correct
from ct_guard.errors import InputError
from ct_guard.estimators.weighing import Weighing
from ct_guard.evidence import weighed
from ct_guard.files import Rejected, open_rows, question_answer
from ct_guard.files.paths import STDIO
from ct_guard.records import QuestionAnswer

from .scored import Scored, logit_of

__all__ = ["items_of", "logits_under", "probabilities", "with_confidences_of"]

Floats = NDArray[np.float64]


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
    graded = (replace(row, p=float(one)) for row, one in zip(scored.graded, p, strict=True))
    return replace(scored, graded=tuple(graded))


def logits_under(weighing: Weighing, scored: Scored) -> Floats:
    """Raw scores weighed with the evidence in the rows' file, shape (n,); as they are where there
    is none to weigh.

    All answers of the file tell of each other, also those that are not graded or were not chosen:
    so it was when they were scored.
    """
    if weighing.evidence is None:
        return scored.logit
    known = [
        (where, item, logit)
        for where, item, logit in _scored_items(scored.path, weighing.columns)
        if logit is not None
    ]
    found = weighed(
        weighing.evidence,
        [item for _, item, _ in known],
        [where for where, _, _ in known],
        readings={"logit": np.array([logit for _, _, logit in known])},
    )
    logit_at = {where: one.logit for (where, _, _), one in zip(known, found, strict=True)}
    return np.array([logit_at[row.where] for row in scored.graded])


def items_of(scored: Scored, columns: Sequence[str] = ()) -> list[QuestionAnswer]:
    """The rows once more, in order, with what they hold in further `columns`."""
    wanted = {row.where for row in scored.graded}
    items = {
        where: item for where, item, _ in _scored_items(scored.path, columns) if where in wanted
    }
    return [items[row.where] for row in scored.graded]


def _scored_items(
    path: str, columns: Sequence[str]
) -> Iterator[tuple[str, QuestionAnswer, float | None]]:
    """(place, answer, raw score) of each readable row of a scored file, which is read again."""
    if path == STDIO:
        raise InputError("these rows are read twice, which standard input cannot be: give a file")
    for row in open_rows(path):
        item = question_answer(row, columns)
        if not isinstance(item, Rejected):
            yield row.where, item, logit_of(row)
