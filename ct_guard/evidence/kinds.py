"""What evidence is, and the kinds that there are."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import UsageError
from ct_guard.records import Record

from .agreement import AGREEMENT, AgreementState
from .answers import Answers
from .columns import Column, Unlearnt
from .group import Group
from .logprobs import LOGPROBS
from .model import MODEL, Accuracies
from .question import QUESTION, QuestionWords
from .reading import READINGS
from .stated import COLUMNS, STATED
from .within import ScaledSpread, Spread, Within, WithinScale
from .wording import WORDING

__all__ = ["KINDS", "OF_BASE", "Evidence", "kinds_named", "place_of", "state_of", "wanted_columns"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

_ALL: tuple["Evidence", ...] = (
    AGREEMENT, WithinScale(STATED), Within(LOGPROBS), MODEL, WORDING, QUESTION, *READINGS,
)  # fmt: skip
KINDS = {kind.name: kind for kind in _ALL}
"""By name; `column:NAME` and `group:NAME` are one for every column."""
OF_BASE = frozenset(kind.name for kind in READINGS)
"""Of these, what only estimators with a raw score have."""
_STATES: dict[str, type[Record]] = {
    "agreement": AgreementState,
    "model": Accuracies,
    "group": Accuracies,
    "question": QuestionWords,
    "stated": ScaledSpread,
    "logprobs": Spread,
    "column": Spread,
}
"""What kinds learn, by the part of their name before a colon."""
_PLACES = {
    "agreement": "other rows of the same question, and a column 'samples'",
    "stated": f"a column {' or '.join(map(repr, COLUMNS))}, else from the text of the answer"
    " ('Confidence: 85%'); a number in another column is evidence column:NAME",
    "logprobs": "a column 'logprobs'",
    "model": "a column 'model'",
}


class Evidence(Protocol):
    """Named numbers about answers, in three steps, so that what is slow is done once: look at the
    answers (no grade counts), learn from graded rows, read numbers."""

    @property
    def name(self) -> str: ...

    @property
    def features(self) -> tuple[str, ...]:
        """Names of its numbers."""
        ...

    def look(self, answers: Answers) -> Any: ...

    def learn(self, look: Any, correct: Bools, rows: Bools) -> Any:
        """What those `rows`, boolean (n,), say. `correct` (n,) must not count elsewhere."""
        ...

    def read(self, look: Any, state: Any) -> Floats:
        """Shape (n, len(features)); NaN where an answer has no such number. The first is NaN where
        it has none of them."""
        ...


def kinds_named(names: Sequence[str]) -> tuple[Evidence, ...]:
    """The kinds by name, in order. Raises UsageError for a name that is none, or given twice."""
    found: list[Evidence] = []
    for name in names:
        kind, _, column = name.partition(":")
        if name in KINDS:
            found.append(KINDS[name])
        elif kind == "column" and column:
            found.append(Within(Column(column)))
        elif kind == "group" and column:
            found.append(Group(column))
        else:
            known = ", ".join(kind for kind in KINDS if kind not in OF_BASE)
            raise UsageError(f"no evidence {name!r}: it is {known}, column:NAME or group:NAME")
    if len({kind.name for kind in found}) != len(found):
        raise UsageError("evidence is named twice: name each once")
    if not found:
        raise UsageError("no evidence is named: give some, as in --evidence agreement,stated,model")
    return tuple(found)


def state_of(name: str) -> type[Record]:
    """What the kind of this name learns."""
    return _STATES.get(name.partition(":")[0], Unlearnt)


def wanted_columns(names: Sequence[str]) -> tuple[str, ...]:
    """The columns of rows that evidence of these names reads."""
    columns: list[str] = []
    for name in names:
        if name.startswith(("column:", "group:")):
            columns.append(name.partition(":")[2])
        columns += {"agreement": ["samples"], "stated": COLUMNS, "logprobs": ["logprobs"]}.get(
            name, []
        )
    return tuple(columns)


def place_of(name: str) -> str:
    """Where the evidence of this name is read from, in words."""
    kind, _, column = name.partition(":")
    what = {"column": "numbers in", "group": "texts in"}.get(kind)
    if what is not None:
        return f"{what} a column {column!r}"
    return _PLACES.get(name, "question and answer")
