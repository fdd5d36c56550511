"""Fit a hybrid's layer on graded answers, several to a question where there are."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends import ScoreBatch
from ct_guard.errors import TuningError
from ct_guard.estimators import FEATURES, PRIOR_FEATURES, HybridMethod, features
from ct_guard.evidence.question_prior import QuestionPrior
from ct_guard.store.layer import fit_logistic

__all__ = ["fit_hybrid"]


def fit_hybrid(
    batch: ScoreBatch,
    questions: Sequence[str],
    correct: NDArray[np.bool_],
    prior: QuestionPrior | None = None,
) -> HybridMethod:
    """A hybrid fitted on n graded rows, see `store.layer.fit_logistic`.

    Args:
        batch: what the backend says of the rows, through the tuned query.
        questions: what was asked, for each row.
        correct: whether each answer was right, boolean of shape (n,).
        prior: fitted on other rows; the layer reads it as well.

    Raises:
        TuningError: there is one class only.
    """
    if len(np.unique(correct)) < 2:
        raise TuningError("all graded answers are alike: the layer needs right and wrong ones")
    if prior is None:
        return HybridMethod(fit_logistic(FEATURES, features(batch), correct))
    names = FEATURES + PRIOR_FEATURES
    found = features(batch, names, prior.logits(questions))
    return HybridMethod(fit_logistic(names, found, correct), prior)
