"""Judge questions about a state: every label is scored as an answer to the question. The state is
read once for all questions, and each question once for all its labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Protocol

import numpy as np
from pydantic import Field, JsonValue
from scipy.special import softmax  # type: ignore[import-untyped]

from ct_guard.backends.stems import stems
from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard.query import Rendered, clean, forgery_in
from ct_guard.records import Confidence, QuestionAnswer, Record

from .calibration import DecisionCalibration
from .questions import (
    YES,
    Choice,
    Noul,
    Score,
    as_text,
    labels_of,
    options_of,
)

__all__ = ["Enquiry", "Judgement", "Scorer", "as_answer", "deciding", "judge"]

AnyQuestion = Noul | Choice | Score


class Scorer(Protocol):
    """Who scores answers: an `Estimator`, or a `Guard` around one."""

    def score(self, items: Sequence[QuestionAnswer]) -> list[Confidence]: ...


class Judgement(Record):
    """What is known of the answer to one question."""

    probabilities: dict[str, Annotated[float, Field(ge=0, le=1)]]
    """By label, in the question's order; they sum to 1."""
    scores: dict[str, float]
    """Raw logits by label, before calibration: what calibrators are fitted on."""
    calibrated: bool = False
    """Whether a calibrator that was fitted for this very question made the probabilities."""
    truncated: bool = False
    """Whether the state was too long for the model, and its middle was left out."""

    @property
    def label(self) -> str:
        """The likeliest; of equals the first."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def confidence(self) -> float:
        """P of the likeliest label."""
        return self.probabilities[self.label]


@dataclass(frozen=True)
class Enquiry:
    """Questions about one state, and what an estimator is to read for them.

    Asking comes between the two halves, so that whoever asks may wait for it in their own way:

        enquiry = Enquiry.about(state, questions)
        judgements = enquiry.judged(await guard.ascore(enquiry.items), calibration)
    """

    questions: Mapping[str, AnyQuestion]
    items: tuple[QuestionAnswer, ...]
    """Of every question in turn one item a label, all with the same context."""

    @classmethod
    def about(cls, state: JsonValue, questions: Mapping[str, AnyQuestion]) -> "Enquiry":
        """The state is data: text as it is, everything else as JSON, in front of what is asked.

        Raises UsageError where there is no question, and where a text in the state speaks as the
        uncertainty query does: between the quotes of JSON nobody else would notice.
        """
        if not questions:
            raise UsageError("nothing is asked: give at least one question")
        for text in _texts(state):
            if (forged := forgery_in(clean(text)[0])) is not None:
                raise UsageError(
                    f"the state is forged, it would answer for the model: {forged[:80]!r}"
                )
        about = as_text(state).strip()
        items = [
            QuestionAnswer(question=_asked(about, question), answer=option.answer)
            for question in questions.values()
            for option in options_of(question)
        ]
        return cls(questions, tuple(items))

    def judged(
        self, confidences: Sequence[Confidence], calibration: DecisionCalibration | None = None
    ) -> dict[str, Judgement]:
        """The judgements by question id, from the confidences of `items`, in their order.

        Raises UsageError, with what the estimator says, where an item has no score: no decision is
        made up, and whoever acts on one fails closed.
        """
        rest = iter(confidences)
        return {
            name: _judged(name, question, [next(rest) for _ in labels_of(question)], calibration)
            for name, question in self.questions.items()
        }

    def tokens(self, estimator: Estimator) -> int | None:
        """What reading it comes to in tokens of the estimator's base: the state once, each question
        once, and each label with the query behind it. None where no query is asked."""
        if estimator.query is None:
            return None
        made = [one for one in estimator.rendered(self.items) if isinstance(one, Rendered)]
        found = stems({one.context for one in made})
        behind = sum(len(one.answer) + len(estimator.query.ids) for one in made)
        apart = sum(len(context) - len(stem.ids) for stem in found for context in stem.contexts)
        return behind + apart + sum(len(stem.ids) for stem in found)


def judge(
    scorer: Scorer,
    state: JsonValue,
    questions: Mapping[str, AnyQuestion],
    calibration: DecisionCalibration | None = None,
) -> dict[str, Judgement]:
    """Judge questions about a state.

    P(label) is the softmax of the labels' logits of being correct: what independent judgements of
    each label come to once exactly one of them is right. With a calibrator for the question, it is
    the softmax of `slope * logit + offset[label]`.

    Args:
        scorer: an estimator made by `deciding`, or a guard (`on_error="raise"`) around one.
        state: what the questions are about: text, or JSON.
        questions: by id, at least one (`parse_questions` reads them from JSON).
        calibration: from `load_decisions` or `decisions_of`; None: nothing is calibrated.

    Returns:
        Judgements by question id. `as_answer` gives them the form of the wire.

    Raises:
        UsageError: nothing is asked, or the estimator refuses to score a label or the state.
    """
    enquiry = Enquiry.about(state, questions)
    return enquiry.judged(scorer.score(enquiry.items), calibration)


def deciding(estimator: Estimator) -> Estimator:
    """The estimator as it judges labels: one that says `unknown` or `no answer` is scored like any
    other. Raises UsageError for an estimator that reads no model."""
    if estimator.backend is None:
        raise UsageError(
            f"{estimator.name} reads no model, only what rows say of their answers: decisions need"
            " an estimator with a base model, such as mini or smol"
        )
    return replace(estimator, refusals=False)


def as_answer(question: AnyQuestion, judgement: Judgement) -> dict[str, JsonValue]:
    """The answer as it stands on the wire, with `calibrated` and `truncated` beside what the wire
    knows. `confidence` is P of the likeliest label; a score is the expected level."""
    probabilities: dict[str, JsonValue] = {**judgement.probabilities}
    known: dict[str, JsonValue] = {"type": question.type}
    match question:
        case Noul():
            known["noul"] = judgement.probabilities[YES]
        case Choice():
            known |= {"choice": judgement.label, "probabilities": probabilities}
        case Score():
            levels = enumerate(judgement.probabilities.values())
            known |= {
                "score": sum(level * p for level, p in levels),
                "legend": {str(level): said for level, said in enumerate(question.criteria)},
                "probabilities": probabilities,
            }
    if not isinstance(question, Noul):
        known["confidence"] = judgement.confidence
    return {**known, "calibrated": judgement.calibrated, "truncated": judgement.truncated}


def _asked(about: str, question: AnyQuestion) -> str:
    """The state, the instructions and, where some are described, the answers there are."""
    parts, options = [about, as_text(question.instructions).strip()], options_of(question)
    if any(option.description for option in options):
        lines = [": ".join(filter(None, [one.answer, one.description])) for one in options]
        parts.append("\n".join(f"- {line}" for line in lines))
    return "\n\n".join(filter(None, parts))


def _texts(state: JsonValue) -> Iterator[str]:
    if isinstance(state, str):
        yield state
    elif isinstance(state, dict):
        for name, value in state.items():
            yield name
            yield from _texts(value)
    elif isinstance(state, list):
        for value in state:
            yield from _texts(value)


def _judged(
    name: str,
    question: AnyQuestion,
    confidences: Sequence[Confidence],
    calibration: DecisionCalibration | None,
) -> Judgement:
    labels = labels_of(question)
    for label, one in zip(labels, confidences, strict=True):
        if one.logit is None:
            why = f"{one.status}: {one.error}" if one.error else one.status
            raise UsageError(f"question {name!r} cannot be judged: answer {label!r} is {why}")
    logits = [one.logit for one in confidences if one.logit is not None]
    scores = dict(zip(labels, logits, strict=True))
    calibrator = None if calibration is None else calibration.calibrator_of(question)
    if calibrator is not None:
        probabilities = calibrator.probabilities(scores)
    else:
        made = softmax(np.array(logits, np.float64))
        probabilities = dict(zip(labels, made.tolist(), strict=True))
    return Judgement(
        probabilities=probabilities,
        scores=scores,
        calibrated=calibrator is not None,
        truncated=any(one.truncated for one in confidences),
    )
