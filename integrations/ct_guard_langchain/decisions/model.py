"""`CtGuardDecisionModel`: an estimator as a LangChain decision model."""

from pathlib import Path
from typing import Any

from langchain_core.decisions import BaseDecisionModel, ClassifierResponse, Question, State
from pydantic import Field, PrivateAttr

from ct_guard.decisions import ANY, DecisionLog, Enquiry, deciding, decisions_of
from ct_guard.estimators import Estimator, load_estimator
from ct_guard.guard import Guard
from ct_guard.records import Confidence

from ..per_call import refuse_unknown
from .ruling import Ruling
from .wire import own_questions, plain_state, response_of

__all__ = ["CtGuardDecisionModel"]


class CtGuardDecisionModel(BaseDecisionModel):
    """Answers `Noul`, `Choice` and `Score` questions by an estimator's judgement of each label as
    an answer; all questions share one prefill of the state, and all labels one of their question.

        classifier = CtGuardDecisionModel(estimator="my-decisions")
        AutoModeMiddleware(tools=["delete_file"], classifier=classifier)

    Probabilities of a question are calibrated where `ct-guard calibrate --decisions` has fitted a
    calibrator for it, in this very wording; else they are the softmax of raw scores, which ranks
    and promises nothing. `confidence` is P of the likeliest label, `score` the expected level.
    `usage` counts the tokens that the base reads, shared ones once.

    What cannot be judged (a forged or overlong text, an image, a missed deadline) raises, so that
    a middleware which asks does not act.
    """

    model: str = ""
    """The estimator's name, unless another is given."""
    estimator: Any = Field(exclude=True, repr=False)
    """A name, a path or a loaded `Estimator`."""
    certified_at: float | None = None
    """The fixed threshold of a client that lets pass what lies below it (`AutoModeMiddleware`:
    0.5). P(yes) is then no probability: it is moved so that below this lies exactly what the
    certificate for `no` lets through, and nothing without a certified threshold."""
    log: Path | None = None
    """A JSONL file to which every decision is added, to be graded: it holds the states."""
    deadline: float | None = None
    """Most seconds for one request."""

    _guard: Guard = PrivateAttr()
    _ruling: Ruling = PrivateAttr()

    def __init__(self, *, estimator: str | Path | Estimator, **kwargs: Any) -> None:
        """Raises EstimatorError or UsageError that says what does not fit."""
        refuse_unknown("CtGuardDecisionModel", kwargs, type(self).model_fields)
        super().__init__(estimator=estimator, **kwargs)
        loaded = load_estimator(estimator)
        self._guard = Guard(deciding(loaded), on_error="raise", deadline=self.deadline)
        self.estimator, self.model = loaded, self.model or loaded.name
        self._ruling = Ruling(
            by=loaded.manifest.scorer,
            calibration=decisions_of(loaded),
            certified_at=self.certified_at,
            log=None if self.log is None else DecisionLog(self.log),
        )

    @property
    def _provider(self) -> str:
        return "ct_guard"

    def threshold(self, question: Question, label: str = ANY) -> float | None:
        """From which P on a decision for `label` (`yes`, `no`; of others "*", the likeliest) is
        certified; None: from none."""
        return self._ruling.threshold(own_questions({"question": question})["question"], label)

    def _classify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        asked = _Asked(self, state, questions)
        return asked.answered(self._guard.score(asked.enquiry.items))

    async def _aclassify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        asked = _Asked(self, state, questions)
        return asked.answered(await self._guard.ascore(asked.enquiry.items))


class _Asked:
    """One request: what is scored for it, and its answers."""

    def __init__(
        self, model: CtGuardDecisionModel, state: State, questions: dict[str, Question]
    ) -> None:
        self.model, self.state = model, plain_state(state)
        self.questions = own_questions(questions)
        self.enquiry = Enquiry.about(self.state, self.questions)

    def answered(self, confidences: list[Confidence]) -> ClassifierResponse:
        ruling = self.model._ruling
        judged = self.enquiry.judged(confidences, ruling.calibration)
        ruled = ruling.ruled(self.state, self.questions, judged)
        tokens = self.enquiry.tokens(self.model.estimator)
        return response_of(self.model.model, self.questions, ruled, tokens)
