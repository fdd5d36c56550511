"""`evidence`: all that is known of an answer beside its text, without any base model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ct_guard.backends import Backend
from ct_guard.errors import InputError, ManifestError
from ct_guard.evidence import Fitted, Weighed, load_evidence, wanted_columns, weighed_apart
from ct_guard.records import QuestionAnswer
from ct_guard.store import Manifest

from .base import Judged

__all__ = ["EvidenceMethod", "make"]


@dataclass(frozen=True)
class EvidenceMethod:
    """The layer's logit over the evidence that it was fitted on. Rows that come together tell of
    each other where they share a question."""

    fitted: Fitted

    @property
    def columns(self) -> tuple[str, ...]:
        return wanted_columns(self.fitted.evidence)

    @property
    def reads_together(self) -> bool:
        return "agreement" in self.fitted.evidence

    def weigh(self, items: Sequence[QuestionAnswer]) -> list[Weighed | InputError]:
        """A logit for each item and the evidence that it has, or what is wrong with it."""
        return weighed_apart(self.fitted, items)

    def judge(self, items: Sequence[QuestionAnswer]) -> list[Judged]:
        return [one.logit if isinstance(one, Weighed) else one for one in self.weigh(items)]


def make(manifest: Manifest, folder: Path | None, backend: Backend | None) -> EvidenceMethod:
    if manifest.evidence is None or folder is None:
        raise ManifestError("this evidence estimator names no file of its own: make it again")
    return EvidenceMethod(load_evidence(folder / manifest.evidence))
