"""Step functions of the logit: what isotonic and histogram calibration fit."""

import numpy as np
import scipy  # type: ignore[import-untyped]
from numpy.typing import NDArray

from ct_guard.calibration.base import Floats, Params, check_names, numbers
from ct_guard.errors import CalibrationError

__all__ = ["apply", "between", "check", "monotone"]


def check(params: Params) -> None:
    """Raises CalibrationError unless edges ascend, and values are probabilities that do not
    descend, one more than there are edges."""
    check_names(params, "edges", "p")
    edges, p = numbers(params, "edges"), numbers(params, "p")
    if p.size != edges.size + 1:
        raise CalibrationError(
            f"the calibrator's state has {edges.size} edges and {p.size} values: fit it again"
        )
    if (edges[1:] <= edges[:-1]).any():
        raise CalibrationError("the calibrator's edges do not ascend: fit it again")
    if (p < 0).any() or (p > 1).any() or (p[1:] < p[:-1]).any():
        raise CalibrationError(
            "the calibrator's values are no probabilities that ascend: fit it again"
        )


def monotone(means: NDArray[np.floating], weights: NDArray[np.floating]) -> Floats:
    """The closest sequence that never decreases (pool adjacent violators), shape (k,)."""
    fitted: Floats = np.clip(scipy.optimize.isotonic_regression(means, weights=weights).x, 0.0, 1.0)
    return fitted


def between(below: Floats, above: Floats) -> Floats:
    """Edges half way between neighbours below < above, such that below < edge <= above."""
    middle = below / 2.0 + above / 2.0
    return np.where(middle > below, middle, above)


def apply(params: Params, logits: Floats) -> Floats:
    """The value of the step that each logit falls on, shape (n,), in [0, 1].

    `params` holds k ascending "edges" and k + 1 values "p"; step i is edge[i-1] <= z < edge[i].
    """
    edges, p = numbers(params, "edges"), numbers(params, "p")
    return p[np.searchsorted(edges, logits, side="right")]
