"""`question_prior`: what the question's text says, without any base model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ct_guard.backends import Backend
from ct_guard.errors import ManifestError
from ct_guard.evidence.question_prior import QuestionPrior, load_question_prior
from ct_guard.records import QuestionAnswer
from ct_guard.store import Manifest

from .base import Judged

__all__ = ["QuestionPriorMethod", "make"]


@dataclass(frozen=True)
class QuestionPriorMethod:
    """The prior's logit: answers to one question share it."""

    prior: QuestionPrior

    def judge(self, items: Sequence[QuestionAnswer]) -> list[Judged]:
        return [float(logit) for logit in self.prior.logits([qa.asked() for qa in items])]


def make(manifest: Manifest, folder: Path | None, backend: Backend | None) -> QuestionPriorMethod:
    if manifest.prior is None or folder is None:
        raise ManifestError("this question_prior estimator names no file of its own: make it again")
    return QuestionPriorMethod(load_question_prior(folder / manifest.prior))
