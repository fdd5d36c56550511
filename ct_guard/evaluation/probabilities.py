"""P(correct) of scored rows under an estimator's present calibrators, from their logits."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ct_guard.adapters import Manifest
from ct_guard.adapters.calibrated import p_correct

from .scored import Scored

__all__ = ["probabilities", "with_confidences_of"]


def probabilities(scored: Scored, manifest: Manifest) -> NDArray[np.float64]:
    """P(correct) of the rows, shape (n,), as they would be scored now."""
    rows = scored.graded
    return p_correct(
        manifest,
        scored.logit,
        [row.model for row in rows],
        logprobs=[row.logprobs for row in rows],
    ).p


def with_confidences_of(manifest: Manifest, scored: Scored) -> Scored:
    """The same rows, read with `need="logit"`, with the confidences that they would get now."""
    p = probabilities(scored, manifest)
    graded = (replace(row, p=float(one)) for row, one in zip(scored.graded, p, strict=True))
    return replace(scored, graded=tuple(graded))
