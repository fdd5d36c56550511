"""`evidence`: all that is known of an answer beside its text, without any base model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ct_guard.adapters import Manifest
from ct_guard.backends import Backend
from ct_guard.errors import ManifestError
from ct_guard.evidence import (
    Answers,
    Fitted,
    answers_of,
    features_of,
    logits_of,
    missing_evidence,
    wanted_columns,
)
from ct_guard.evidence.stated import COLUMNS, split_stated
from ct_guard.files.untrusted_json import JsonError, read_json
from ct_guard.records import QuestionAnswer

from .base import Judged, Read

__all__ = ["EVIDENCE_FILE", "EvidenceMethod", "answers_in", "make"]

EVIDENCE_FILE = "evidence.json"
"""What the file is called in an estimator's directory."""


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

    def judge(self, items: Sequence[QuestionAnswer]) -> list[Judged]:
        if not items:
            return []
        features = features_of(self.fitted, answers_in(items, self.fitted.evidence))
        logits = logits_of(self.fitted.layer, features)
        missing = missing_evidence(self.fitted, features)
        return [
            Read(float(logit), missing=lacks) for logit, lacks in zip(logits, missing, strict=True)
        ]


def answers_in(
    items: Sequence[QuestionAnswer], names: Sequence[str], where: Sequence[str] = ()
) -> Answers:
    """Rows as evidence of these `names` reads them. Where a stated confidence is parsed from the
    answer, the answer goes on without it."""
    wanted = wanted_columns(names)
    columns: dict[str, Sequence[Any]]
    columns = {name: [qa.columns.get(name) for qa in items] for name in wanted}
    columns = {
        name: values for name, values in columns.items() if any(v is not None for v in values)
    }
    if "logprobs" in wanted and "logprobs" not in columns:
        columns["logprobs"] = [qa.logprobs for qa in items]
    texts = [qa.answer for qa in items]
    if "stated" in names and not any(name in columns for name in COLUMNS):
        parted = [split_stated(text) for text in texts]
        texts = [text for text, _ in parted]
        columns[COLUMNS[0]] = [value for _, value in parted]
    return answers_of(
        [qa.question_key() for qa in items],
        texts,
        model=[qa.model for qa in items],
        columns=columns,
        where=where,
    )


def make(manifest: Manifest, folder: Path | None, backend: Backend | None) -> EvidenceMethod:
    if manifest.evidence is None or folder is None:
        raise ManifestError("this evidence estimator names no file of its own: make it again")
    path = folder / manifest.evidence
    try:
        fitted = Fitted.model_validate(read_json(path))
    except (JsonError, ValidationError) as error:
        said = " ".join(str(error).split())[:200]
        raise ManifestError(
            f"{path} holds no fitted evidence ({said}): restore it from its source"
        ) from error
    return EvidenceMethod(fitted)
