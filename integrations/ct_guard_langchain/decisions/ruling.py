"""What both decision models make of a judgement: probabilities as calibrated, on the scale of a
client with a fixed threshold, and logged where they are asked to."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from ct_guard.decisions import (
    ANY,
    NO,
    YES,
    Choice,
    DecisionCalibration,
    DecisionLog,
    Judgement,
    Noul,
    Score,
)
from ct_guard.errors import UsageError

__all__ = ["Ruling"]

AnyQuestion = Noul | Choice | Score


@dataclass(frozen=True)
class Ruling:
    """How judgements become answers."""

    by: str
    """Whose scores are logged."""
    calibration: DecisionCalibration | None
    certified_at: float | None
    log: DecisionLog | None

    def __post_init__(self) -> None:
        if self.certified_at is not None and not 0 < self.certified_at < 1:
            raise UsageError(
                f"certified_at is a client's threshold between 0 and 1, not {self.certified_at}"
            )
        if self.certified_at is not None and self.calibration is None:
            raise UsageError(
                "certified_at needs certified thresholds: make them with 'ct-guard calibrate"
                " --decisions --alpha 0.05'"
            )

    def threshold(self, question: AnyQuestion, label: str) -> float | None:
        """From which P on a label of the question is certified; None: no threshold is."""
        calibrator = None if self.calibration is None else self.calibration.calibrator_of(question)
        certificate = None if calibrator is None else calibrator.certificates.get(label)
        if certificate is None and label == ANY and isinstance(question, Noul):
            raise UsageError("a yes/no question is certified for 'yes' and 'no': name one")
        return None if certificate is None else certificate.threshold

    def ruled(
        self,
        state: JsonValue,
        questions: Mapping[str, AnyQuestion],
        judgements: Mapping[str, Judgement],
    ) -> dict[str, Judgement]:
        """The judgements as they are answered; they are logged as they came.

        Raises UsageError for a yes/no question without a certificate where `certified_at` is set.
        """
        if self.log is not None:
            for name, one in judgements.items():
                self.log.add(state, name, questions[name], one.scores, self.by)
        return {name: self._moved(name, questions[name], one) for name, one in judgements.items()}

    def _moved(self, name: str, question: AnyQuestion, judgement: Judgement) -> Judgement:
        if self.certified_at is None or not isinstance(question, Noul):
            return judgement
        calibrator = None if self.calibration is None else self.calibration.calibrator_of(question)
        if calibrator is None:
            raise UsageError(
                f"question {name!r} was not calibrated in this wording, and certified_at lets"
                " nothing pass uncertified: run 'ct-guard calibrate --decisions --alpha' on rows"
                " with this very question"
            )
        p = calibrator.passing_below(self.certified_at, judgement.probabilities)
        return judgement.model_copy(update={"probabilities": {YES: p, NO: 1.0 - p}})
