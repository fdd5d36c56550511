"""`CalibratedDecisionModel`: anybody's decision model, calibrated on its user's labels."""

from pathlib import Path
from typing import Any

from langchain_core.decisions import BaseDecisionModel, ClassifierResponse, Question, State
from pydantic import Field, PrivateAttr

from ct_guard.decisions import (
    ANY,
    Choice,
    DecisionCalibration,
    DecisionLog,
    Judgement,
    Noul,
    Score,
    as_scores,
    labels_of,
    load_decisions,
)
from ct_guard.errors import UsageError

from ..per_call import refuse_unknown
from .ruling import Ruling
from .wire import own_questions, plain_state, probabilities_in, response_of

__all__ = ["CalibratedDecisionModel"]


class CalibratedDecisionModel(BaseDecisionModel):
    """Asks `inner` and calibrates what it says of each label.

        collecting = CalibratedDecisionModel(inner=theirs, log="decisions.jsonl")
        …                                      # label the rows, then
        # ct-guard calibrate decisions.jsonl --decisions --alpha 0.05 -o decisions.json
        classifier = CalibratedDecisionModel(inner=theirs, calibration="decisions.json")

    Questions for which nothing was fitted in this very wording, and boxes, are answered as `inner`
    answers them.
    """

    model: str = ""
    """That of `inner`, unless another is given."""
    inner: BaseDecisionModel
    """Who answers."""
    calibration: Any = Field(default=None, exclude=True, repr=False)
    """What `ct-guard calibrate --decisions` wrote, a path or a loaded `DecisionCalibration`. None:
    answers stay as they are, for collecting them in a log."""
    certified_at: float | None = None
    """As of `CtGuardDecisionModel`."""
    log: Path | None = None
    """As of `CtGuardDecisionModel`."""

    _ruling: Ruling = PrivateAttr()

    def __init__(
        self,
        *,
        inner: BaseDecisionModel,
        calibration: str | Path | DecisionCalibration | None = None,
        **kwargs: Any,
    ) -> None:
        """Raises InputError for a file that holds no calibration, UsageError for one of another
        model's decisions."""
        refuse_unknown("CalibratedDecisionModel", kwargs, type(self).model_fields)
        if isinstance(calibration, (str, Path)):
            calibration = load_decisions(Path(calibration))
        super().__init__(inner=inner, calibration=calibration, **kwargs)
        self.model = self.model or inner.model
        if calibration is not None and calibration.by not in ("", inner.model):
            raise UsageError(
                f"this calibration is of the decisions of {calibration.by!r}, not of"
                f" {inner.model!r}: fit one on its own"
            )
        self._ruling = Ruling(
            by=inner.model,
            calibration=calibration,
            certified_at=self.certified_at,
            log=None if self.log is None else DecisionLog(self.log),
        )

    @property
    def _provider(self) -> str:
        return self.inner._provider

    def threshold(self, question: Question, label: str = ANY) -> float | None:
        """As of `CtGuardDecisionModel`."""
        return self._ruling.threshold(own_questions({"question": question})["question"], label)

    # `inner.invoke` would report the tokens of one request twice.

    def _classify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        return self._calibrated(state, questions, self.inner._classify(state, questions))

    async def _aclassify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        response = await self.inner._aclassify(state, questions)
        return self._calibrated(state, questions, response)

    def _calibrated(
        self, state: State, questions: dict[str, Question], response: ClassifierResponse
    ) -> ClassifierResponse:
        said = {
            name: probabilities
            for name, answer in response.answers.items()
            if (probabilities := probabilities_in(answer)) is not None
        }
        if not said:
            return response
        own = own_questions({name: questions[name] for name in said})
        calibration = self._ruling.calibration
        judged = {name: _judged(name, own[name], one, calibration) for name, one in said.items()}
        plain = plain_state(state) if self._ruling.log is not None else None
        ruled = self._ruling.ruled(plain, own, judged)
        made = {name: one for name, one in ruled.items() if one.calibrated}
        answers = response_of(self.model, own, made).answers
        return response.model_copy(update={"answers": {**response.answers, **answers}})


def _judged(
    name: str,
    question: Noul | Choice | Score,
    said: dict[str, float],
    calibration: DecisionCalibration | None,
) -> Judgement:
    labels = labels_of(question)
    if set(said) != set(labels):
        raise UsageError(
            f"the answer to {name!r} has probabilities for {', '.join(said)[:200]}, and its labels"
            f" are {', '.join(labels)[:200]}"
        )
    probabilities = {label: said[label] for label in labels}
    scores = as_scores(probabilities)
    calibrator = None if calibration is None else calibration.calibrator_of(question)
    if calibrator is not None:
        probabilities = calibrator.probabilities(scores)
    return Judgement(probabilities=probabilities, scores=scores, calibrated=calibrator is not None)
