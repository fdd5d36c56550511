"""What other models' answers say together: one logistic regression over how much each of them is
like the answer. Models that repeat each other share what they are worth, where naive Bayes
(`witnesses`) counts it once for each."""

import numpy as np
import scipy.sparse as sparse  # type: ignore[import-untyped]
from numpy.typing import NDArray

from ct_guard.records import Record

from .pairs import Pairs

__all__ = ["Together", "learn_together", "together_of"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

STRENGTH = 0.1
"""Of what rows say against small weights (the C of a logistic regression)."""
COMMON = 3.0
"""How much more freely the weight that all models share moves than what one differs by."""


class Together(Record):
    """logit = intercept + the sum, over other answers, of weight times (likeness - 1/2)."""

    intercept: float
    common: float
    """Weight of a model that is not known."""
    models: dict[str, float]
    """Weight by the model that gave the other answer."""


def learn_together(pairs: Pairs, likeness: Floats, correct: Bools, rows: Bools) -> Together:
    """From those `rows`, boolean (n,), that have other answers; `likeness` has shape (m,). Nothing
    is said where all of them are right, or wrong."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    used = np.flatnonzero(rows & (np.bincount(pairs.row, minlength=pairs.n) > 0))
    if np.unique(correct[used]).size < 2:
        return Together(intercept=0.0, common=0.0, models={})
    named = np.array([bool(name) for name in pairs.models])
    degree = likeness - 0.5
    apart = sparse.csr_matrix(
        (degree * named[pairs.other], (pairs.row, pairs.other)), (pairs.n, len(named))
    )
    whole = COMMON * np.bincount(pairs.row, degree, pairs.n)
    columns = sparse.hstack([apart, sparse.csr_matrix(whole[:, None])], format="csr")[used]
    fitted = LogisticRegression(C=STRENGTH, max_iter=1000).fit(columns, correct[used])
    weights = fitted.coef_[0]
    common = COMMON * weights[-1]
    return Together(
        intercept=float(fitted.intercept_[0]),
        common=float(common),
        models={
            name: round(float(common + weights[at]), 6)
            for at, name in enumerate(pairs.models)
            if name
        },
    )


def together_of(pairs: Pairs, likeness: Floats, known: Together) -> Floats:
    """The logit of each answer, shape (n,); the intercept for one without others."""
    weight = np.array([known.models.get(name, known.common) for name in pairs.models], np.float64)
    said = np.bincount(pairs.row, weight[pairs.other] * (likeness - 0.5), pairs.n)
    return np.asarray(known.intercept + said, np.float64)
