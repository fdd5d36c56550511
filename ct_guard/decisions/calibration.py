"""What graded decisions have taught: calibrators and certified thresholds, as one file of data."""

import hashlib
import math
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator
from scipy.special import softmax  # type: ignore[import-untyped]

from ct_guard.certificates import Certificate
from ct_guard.errors import InputError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.files.untrusted_json import JsonError, read_json
from ct_guard.records import Record

from .questions import NO, YES, Choice, Noul, Question, Score, labels_of, question_key

__all__ = [
    "ANY",
    "DecisionCalibration",
    "DecisionCalibrator",
    "decisions_file",
    "decisions_of",
    "load_decisions",
]

ANY = "*"
"""Key of the certificate on the likeliest label, whichever it is."""

Coefficient = Annotated[float, Field(ge=-1e6, le=1e6)]


class DecisionCalibrator(Record):
    """P(label) = softmax(slope * score + offset) over the labels of one question, as it is asked.

    The slope is at least 0, so that no label is preferred for being less likely; with two labels
    this is Platt scaling of the difference of their scores.
    """

    name: str
    """What the graded rows call the question."""
    question: Question
    slope: Annotated[float, Field(ge=0, le=1e6)]
    offsets: dict[str, Coefficient]
    """By label."""
    n: int = Field(ge=0)
    """Graded decisions that it was fitted on."""
    log_loss: dict[Literal["before", "after"], float] = {}
    """In nats, of rows that were held out: by the plain softmax of scores, and calibrated. Empty
    where the rows were too few to hold some out."""
    certificates: dict[str, Certificate] = {}
    """Of a `Noul` for `yes` and for `no`: among the states that this is decided of with
    P(label) >= threshold, at most alpha are otherwise. Of others for `*`: the same of the likeliest
    label."""

    @model_validator(mode="after")
    def _labels_fit(self) -> Self:
        if set(self.offsets) != set(labels_of(self.question)):
            raise ValueError("a calibrator needs an offset for each label of its question")
        return self

    def probabilities(self, scores: dict[str, float]) -> dict[str, float]:
        """By label, from raw scores of all labels of the question; they sum to 1."""
        moved = [self.slope * score + self.offsets[label] for label, score in scores.items()]
        made = softmax(np.array(moved, np.float64))
        return dict(zip(scores, made.tolist(), strict=True))

    def passing_below(self, at: float, probabilities: dict[str, float]) -> float:
        """P(yes) of a `Noul` on a scale of its own, for a client that lets pass what lies below a
        fixed number `at` in (0, 1): below it lies exactly what the certificate for `no` lets
        through, and nothing where no threshold was certified. The order stays.

        Raises UsageError for a question without a certificate for `no`.
        """
        certificate, p = self.certificates.get(NO), probabilities[YES]
        if certificate is None:
            raise UsageError(
                f"question {self.name!r} has no certificate: make one with 'ct-guard calibrate"
                " --decisions --alpha 0.05'"
            )
        threshold = certificate.threshold
        most = 0.0 if threshold is None else 1.0 - threshold
        if threshold is not None and probabilities[NO] >= threshold:
            return min(at * p / most, math.nextafter(at, 0.0)) if most > 0 else 0.0
        share = max(0.0, p - most) / (1.0 - most) if most < 1 else 1.0
        return min(1.0, at + (1.0 - at) * share)


class DecisionCalibration(Record):
    """Calibrators of questions that decisions were graded for."""

    schema_version: Literal[1] = 1
    by: str
    """Whose scores they are for: an estimator's `Manifest.scorer`, or the name of a model."""
    calibrators: tuple[DecisionCalibrator, ...]

    @model_validator(mode="after")
    def _questions_differ(self) -> Self:
        keys = [question_key(one.question) for one in self.calibrators]
        if len(set(keys)) < len(keys):
            raise ValueError("a question has two calibrators")
        return self

    def calibrator_of(self, question: Noul | Choice | Score) -> DecisionCalibrator | None:
        """The one for this question in this wording; None where none was fitted."""
        key = question_key(question)
        return next((one for one in self.calibrators if question_key(one.question) == key), None)


def load_decisions(path: Path) -> DecisionCalibration:
    """Read what `ct-guard calibrate --decisions` wrote. Raises InputError, in one line, for a file
    that holds no calibration of decisions."""
    try:
        return DecisionCalibration.model_validate(read_json(path))
    except (JsonError, ValidationError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} holds no calibration of decisions ({said}): make it with 'ct-guard calibrate"
            " --decisions'"
        ) from error


def decisions_of(estimator: Estimator) -> DecisionCalibration | None:
    """What an estimator's directory holds of decisions; None where it was never calibrated for
    any."""
    name = estimator.manifest.decisions
    if name is None or estimator.folder is None:
        return None
    return load_decisions(estimator.folder / name)


def decisions_file(calibration: DecisionCalibration) -> tuple[str, bytes]:
    """Name and content of its file, in an estimator's directory."""
    content = calibration.model_dump_json(indent=1).encode() + b"\n"
    return f"decisions-{hashlib.sha256(content).hexdigest()[:8]}.json", content
