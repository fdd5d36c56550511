"""P(correct) of scored rows under an estimator's present calibrators, from their logits."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ct_guard.adapters import Manifest
from ct_guard.adapters.calibrated import calibrated, provider_layer_for, with_logprobs

from .scored import Scored

__all__ = ["probabilities", "with_confidences_of"]


def probabilities(scored: Scored, manifest: Manifest) -> NDArray[np.float64]:
    """P(correct) of the rows, shape (n,), each by the calibrator of its answering model, or by the
    model's layer over its log-probabilities where the row carries them."""
    p = np.empty(len(scored))
    models = np.array([row.model or "" for row in scored.graded])
    for model in np.unique(models):
        at = models == model
        p[at] = calibrated(manifest.calibrators, scored.logit[at], str(model) or None)
    for at_row, row in enumerate(scored.graded):
        layer = provider_layer_for(manifest.provider, row.model, None, row.logprobs)
        if layer is not None and row.logprobs is not None:
            p[at_row] = with_logprobs(layer, row.logit, row.logprobs)
    return p


def with_confidences_of(manifest: Manifest, scored: Scored) -> Scored:
    """The same rows, read with `need="logit"`, with the confidences that they would get now."""
    p = probabilities(scored, manifest)
    graded = (replace(row, p=float(one)) for row, one in zip(scored.graded, p, strict=True))
    return replace(scored, graded=tuple(graded))
