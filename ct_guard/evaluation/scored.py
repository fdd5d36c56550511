"""Scored files read back as columns: no model is needed to evaluate them."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import InputError
from ct_guard.files import correct_of, open_rows, question_answer
from ct_guard.records import QuestionAnswer

__all__ = ["Scored", "read_scored"]


@dataclass(frozen=True)
class Scored:
    """The rows of a scored file that carry a probability and a grade, as columns of length n."""

    path: str
    estimators: tuple[str, ...]
    p: NDArray[np.float64]
    correct: NDArray[np.bool_]
    question: NDArray[np.int64]
    """Number of the row's question: answers to one question share it."""
    rows: int
    statuses: Counter[str]
    ungraded: int
    """Rows with a probability and no readable grade."""


def read_scored(path: str | Path) -> Scored:
    """Read what `ct-guard score` wrote. Raises InputError when it was not scored or not graded."""
    p: list[float] = []
    correct: list[bool] = []
    question: list[int] = []
    numbers: dict[str, int] = {}
    statuses: Counter[str] = Counter()
    estimators: dict[str, None] = {}
    rows = ungraded = 0
    for row in open_rows(path):
        rows += 1
        fields = row.fields
        if "confidence" not in fields:
            raise InputError(
                f"{path}, line {row.number}: no column 'confidence': score the file first"
                " (ct-guard score)"
            )
        statuses[str(fields.get("status") or "unknown")] += 1
        confidence = _probability(fields["confidence"], path, row.number)
        if confidence is None:
            continue
        estimators.setdefault(str(fields.get("estimator") or "unknown"))
        grade = correct_of(row)
        if not isinstance(grade, bool):
            ungraded += 1
            continue
        item = question_answer(row)
        key = item.question_key() if isinstance(item, QuestionAnswer) else f"row {row.number}"
        p.append(confidence)
        correct.append(grade)
        question.append(numbers.setdefault(key, len(numbers)))
    if not p:
        raise InputError(
            f"{path}: no row has both a confidence and a grade in 'correct' (true or false):"
            " grade the answers before evaluating"
        )
    return Scored(
        path=str(path),
        estimators=tuple(estimators),
        p=np.array(p),
        correct=np.array(correct),
        question=np.array(question),
        rows=rows,
        statuses=statuses,
        ungraded=ungraded,
    )


def _probability(value: Any, path: str | Path, number: int) -> float | None:
    if value is None or value == "":
        return None
    try:
        p = float(value)
    except (TypeError, ValueError):
        p = float("nan")
    if not 0 <= p <= 1:
        raise InputError(
            f"{path}, line {number}: 'confidence' is {value!r} and must be between 0 and 1"
        )
    return p
