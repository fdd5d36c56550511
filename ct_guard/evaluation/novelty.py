"""What answers are compared with for `ood`, from the rows that an estimator is calibrated on."""

from collections.abc import Callable

from ct_guard.estimators import Estimator
from ct_guard.estimators.novelty import Novelty, fit_novelty, states_of_rows

from .probabilities import items_of
from .scored import Scored

__all__ = ["novelty_of"]


def novelty_of(
    estimator: Estimator, scored: Scored, *, on_rows: Callable[[int], None] = lambda done: None
) -> Novelty:
    """Fitted on the states of the rows of a scored file, which the base model reads once more.

    Args:
        estimator: that scored them.
        scored: rows to calibrate on; they are read again from their file.
        on_rows: called with the number of rows that were just read.

    Raises:
        UsageError, BackendError: as `states_of_rows`.
        CalibrationError: too few questions.
    """
    items = items_of(scored)
    states = states_of_rows(estimator, items, on_rows=on_rows)
    return fit_novelty(states, [item.question_key() for item in items])
