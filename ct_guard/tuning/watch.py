"""Is anything being learnt? Said while there is still time to stop."""

import math
from collections.abc import Sequence

from .checkpoint import Progress

__all__ = ["nothing_learnt"]

EVALUATIONS = 3
"""After so many, a run that has learnt nothing is told of."""
STANDARD_ERRORS = 2.0


def nothing_learnt(
    history: Sequence[Progress], labels: Sequence[bool], *, learning_rate: float
) -> str | None:
    """What to say after the latest evaluation, once a run: the validation AUROC was never above
    what chance alone gives with these labels (Hanley and McNeil 1982: its variance without any
    difference is (n + 1) / (12 right wrong)). None while there is nothing to say."""
    right = sum(labels)
    wrong = len(labels) - right
    if len(history) != EVALUATIONS or not right or not wrong:
        return None
    chance = 0.5 + STANDARD_ERRORS * math.sqrt((len(labels) + 1) / (12 * right * wrong))
    best = max(one.validation_auroc or 0.0 for one in history)
    if best > chance:
        return None
    return (
        f"Nothing is learnt so far: after {history[-1].step:,} steps the validation AUROC is"
        f" {best:.3f} at best, and chance gives up to {chance:.3f} with {len(labels):,} rows. Stop"
        " here (Ctrl-C) and try `method` hybrid or probe, which also read what the base believes;"
        f" a learning rate of {3 * learning_rate:.0e} or {learning_rate / 3:.0e}; more rows; or a"
        " larger base. Where such bases stay at chance, they do not know what is asked"
    )
