"""What answers are compared with for `ood`, from the rows that an estimator is calibrated on."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends import Item
from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard.estimators.asking import TextMethod
from ct_guard.estimators.novelty import Novelty, fit_novelty, state_wants, states_of
from ct_guard.files import Rejected, open_rows, question_answer
from ct_guard.records import QuestionAnswer

from .scored import Scored

__all__ = ["novelty_of", "states_of_rows"]

CHUNK_ROWS = 256


def novelty_of(
    estimator: Estimator, scored: Scored, *, on_rows: Callable[[int], None] = lambda done: None
) -> Novelty:
    """Fitted on the states of the rows of a scored file, which the base model reads once more.

    Args:
        estimator: that scored them.
        scored: rows to calibrate on; they are read again from their file.
        on_rows: called with the number of rows that were just read.

    Raises:
        UsageError: the estimator works on text, or its backend gives no hidden states;
            CalibrationError: too few questions; BackendError: a row cannot be read.
    """
    wanted = {row.where for row in scored.graded}
    items = [
        item
        for row in open_rows(scored.path)
        if row.where in wanted and not isinstance(item := question_answer(row), Rejected)
    ]
    states = states_of_rows(estimator, items, on_rows=on_rows)
    return fit_novelty(states, [item.question_key() for item in items])


def states_of_rows(
    estimator: Estimator,
    items: Iterable[QuestionAnswer],
    *,
    on_rows: Callable[[int], None] = lambda done: None,
) -> NDArray[np.floating[Any]]:
    """[n, d]: what the estimator's score of each answer is read from. Raises as `novelty_of`."""
    method, backend = estimator.method, estimator.backend
    if isinstance(method, TextMethod):
        raise UsageError(f"{estimator.name} works on text: ood is not measured by its method")
    if not backend.capabilities.hidden_states:
        raise UsageError(f"the backend {backend.name} gives no hidden states to measure ood by")
    made = [estimator.render(item) for item in items]
    parts = []
    for start in range(0, len(made), CHUNK_ROWS):
        rows = [Item(one.context, one.answer) for one in made[start : start + CHUNK_ROWS]]
        batch = backend.score(rows, estimator.query, estimator.adapter, state_wants(method))
        parts.append(states_of(method, batch))
        on_rows(len(rows))
    return np.concatenate(parts)
