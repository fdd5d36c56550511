"""Decisions as rows of a file: logged as they are made, and read back when somebody has said what
would have been right."""

import json
import math
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from ct_guard.errors import InputError, UsageError
from ct_guard.files import Needs, Row, open_rows
from ct_guard.files.jsonl import encode_line
from ct_guard.files.untrusted_json import JsonError, parse_json

from .questions import NO, YES, Choice, Noul, Score, labels_of, parse_questions

__all__ = ["DecisionLog", "GradedDecision", "as_scores", "read_decisions", "row_of"]

NEEDS: Needs = (("state",), ("question",), ("label",))

LEAST_P = 1e-6
"""Probabilities of 0, which have no logarithm, count as this."""


@dataclass(frozen=True)
class GradedDecision:
    """A question about a state, and the label that is right."""

    where: str
    """File and line, as messages name it."""
    name: str
    state: JsonValue
    question: Noul | Choice | Score
    label: str
    scores: dict[str, float] | None
    """Of every label, as they were logged; None: the state is to be scored."""
    by: str | None
    """Whose scores they are."""

    @property
    def state_key(self) -> str:
        """Rows of equal keys are about the same state."""
        return json.dumps(self.state, sort_keys=True)


class DecisionLog:
    """A JSONL file to which decisions are added. With the right answer in `label`, its rows are
    what `ct-guard calibrate --decisions` reads. Safe to share between threads; states are written
    as they are, so the file is as private as they are."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()

    def add(
        self,
        state: JsonValue,
        name: str,
        question: Noul | Choice | Score,
        scores: Mapping[str, float],
        by: str,
    ) -> None:
        """Add one decision. Raises OSError where the file cannot be written."""
        line = encode_line(row_of(state, name, question, scores, by))
        with self._lock, self.path.open("ab") as file:
            file.write(line)


def row_of(
    state: JsonValue,
    name: str,
    question: Noul | Choice | Score,
    scores: Mapping[str, float] | None,
    by: str | None,
    label: str | None = None,
) -> dict[str, Any]:
    """A decision as it stands in a file; `label` is what a person fills in."""
    return {
        "name": name,
        "state": state,
        "question": question.model_dump(mode="json"),
        "scores": None if scores is None else dict(scores),
        "by": by,
        "label": label,
    }


def as_scores(probabilities: Mapping[str, float]) -> dict[str, float]:
    """Scores of which the softmax is these probabilities, by label."""
    return {label: math.log(max(p, LEAST_P)) for label, p in probabilities.items()}


def read_decisions(path: str | Path) -> tuple[list[GradedDecision], int]:
    """The rows of a file whose `label` is filled in, and how many others there are.

    A row has a `state` (text or JSON), a `question` in the form of the wire (or its JSON as text),
    and the right `label`: `yes`, `no`, true or false; a label of the choice; a level's number. With
    `scores` or `probabilities` (an object by label; of a yes/no question also a number, P(yes)) it
    need not be scored; `by` says whose they are.

    Raises InputError, by file, row and field, for a row that cannot be used, and for a file without
    any label.
    """
    found, open_ = [], 0
    for row in open_rows(path, NEEDS):
        if row.error is not None:
            raise InputError(row.error)
        if row.fields.get("label") in (None, ""):
            open_ += 1
        else:
            found.append(_decision(row))
    if not found:
        raise InputError(
            f"{path}: no row has the right answer in 'label': fill it in where it is known"
        )
    return found, open_


def _decision(row: Row) -> GradedDecision:
    fields = row.fields
    for column in ("state", "question"):
        if column not in fields:
            raise InputError(f"{row.where}: no field '{column}': {_WAY}")
    question = _question(row)
    name = fields.get("name")
    by = fields.get("by")
    return GradedDecision(
        where=row.where,
        name=name if isinstance(name, str) and name else question.type,
        state=fields["state"],
        question=question,
        label=_label(row, question),
        scores=_scores(row, question),
        by=by if isinstance(by, str) and by else None,
    )


_WAY = "a row has 'state', 'question' and 'label'"


def _question(row: Row) -> Noul | Choice | Score:
    value = row.fields["question"]
    try:
        if isinstance(value, str):
            value = parse_json(value)
        return parse_questions({"question": value})["question"]
    except (JsonError, UsageError) as error:
        raise InputError(f"{row.where}: field 'question': {error}") from error


def _label(row: Row, question: Noul | Choice | Score) -> str:
    value: Any = row.fields["label"]
    text = str(value).strip()
    if isinstance(question, Noul):
        text = {"true": YES, "1": YES, "false": NO, "0": NO}.get(text.lower(), text.lower())
    elif isinstance(question, Score) and isinstance(value, float) and value.is_integer():
        text = str(int(value))
    labels = labels_of(question)
    if text not in labels:
        raise InputError(
            f"{row.where}: field 'label': {text[:80]!r} is none of {', '.join(labels)[:200]}"
        )
    return text


def _scores(row: Row, question: Noul | Choice | Score) -> dict[str, float] | None:
    labels = labels_of(question)
    for column in ("scores", "probabilities"):
        value = row.fields.get(column)
        if value is None:
            continue
        if isinstance(value, str):
            try:
                value = parse_json(value)
            except JsonError as error:
                raise InputError(f"{row.where}: field '{column}': {error}") from error
        if column == "probabilities" and isinstance(question, Noul) and _is_number(value):
            value = {YES: value, NO: 1 - value}
        if not isinstance(value, dict) or set(value) != set(labels):
            raise InputError(
                f"{row.where}: field '{column}' needs a number for each of"
                f" {', '.join(labels)[:200]}"
            )
        if not all(map(_is_number, value.values())):
            raise InputError(f"{row.where}: field '{column}' holds what is no number")
        numbers = {label: float(value[label]) for label in labels}
        if column == "scores":
            return numbers
        if not all(0 <= p <= 1 for p in numbers.values()):
            raise InputError(f"{row.where}: field '{column}' must be in [0, 1]")
        return as_scores(numbers)
    return None


def _is_number(value: object) -> bool:
    """One that a float can hold, too."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max
