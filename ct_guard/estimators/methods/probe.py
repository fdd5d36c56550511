"""`probe` and `lora_probe`: yes - no of an MLP on the hidden state of the answer's last token,
without and with a LoRA. Source: Kapoor et al. 2024, section 4."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ct_guard.backends import Backend, ScoreBatch, Want
from ct_guard.errors import ManifestError, MismatchError
from ct_guard.store import Manifest, ProbeHead, load_probe

from .base import Floats, wants_of

__all__ = ["ProbeMethod", "make"]


@dataclass(frozen=True)
class ProbeMethod:
    """z_yes - z_no of the head; the adapter, where there is one, is in the hidden state."""

    head: ProbeHead
    wants: frozenset[Want] = wants_of("probe")

    def logits(self, batch: ScoreBatch, questions: Sequence[str]) -> Floats:
        if batch.hidden is None:
            raise ValueError("the backend was not asked for hidden states")
        if batch.hidden.shape[1] != self.head.inputs:
            raise MismatchError(
                f"the probe reads hidden states of size {self.head.inputs}, this base model has"
                f" {batch.hidden.shape[1]}: give the base that it was trained on"
            )
        pairs = self.head.logits(batch.hidden).astype(np.float64)
        return np.asarray(pairs[:, 1] - pairs[:, 0])


def make(manifest: Manifest, folder: Path | None, backend: Backend | None) -> ProbeMethod:
    if manifest.probe is None or folder is None:
        raise ManifestError(f"this {manifest.method} estimator names no head: make it again")
    return ProbeMethod(load_probe(folder / manifest.probe))
