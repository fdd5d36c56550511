"""Retry and escalation: which model is asked next, and whose answer is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from ct_guard.errors import UsageError
from ct_guard.policies import MOST_RETRIES, Situation, Turn
from ct_guard.records import Action, Assessment, Confidence, Decision

__all__ = ["Decider", "Ladder", "Outcome"]

Model = TypeVar("Model")
Result = TypeVar("Result")


class Decider(Protocol):
    """What a ladder asks of a guard."""

    @property
    def keeps_last(self) -> bool: ...

    def decide(self, confidence: Confidence, situation: Situation | None = None) -> Decision: ...


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What is returned: a model's result, and the assessment of each of its answers."""

    result: Result
    assessments: Sequence[Assessment]
    model_index: int
    attempts: int
    error: str | None
    """The retries and stronger models that failed."""
    turn: Turn = "answer"


class Ladder(Generic[Model, Result]):
    """Models in order of strength. Asks nobody itself, so that sync and async callers share it:

        for model in ladder:
            ladder.answered(result, assessments)  # or, where the model raised, failed(error)
        ladder.outcome()

    The policy's decision on the latest answer says how it goes on: "retry" asks the same model
    again, "escalate" the next one, anything else ends it. Of several answers in a result, the first
    one decides.
    """

    def __init__(self, guard: Decider, models: Sequence[Model]) -> None:
        self._guard, self._models = guard, models
        self._index = self._retries = self._asked = 0
        self._best: Outcome[Result] | None = None
        self._next: Action = "pass"
        self._errors: list[str] = []

    def __iter__(self) -> Iterator[Model]:
        while True:
            self._asked += 1
            yield self._models[self._index]
            if self._next == "retry" and self._retries < MOST_RETRIES:
                self._retries += 1
            elif self._next == "escalate" and self._models_left:
                self._index, self._retries = self._index + 1, 0
            else:
                return

    @property
    def index(self) -> int:
        """Of the model that is being asked."""
        return self._index

    @property
    def situation(self) -> Situation:
        """What the policy is told of the answer at hand."""
        return Situation(
            models_left=self._models_left, model_index=self._index, retries=self._retries
        )

    def failed(self, error: Exception) -> bool:
        """A model raised. Whether there is an answer to go on with: the first error is the
        caller's, later ones are noted, and the policy says how the best answer so far goes on."""
        if self._best is None:
            return False
        first = (str(error).strip().splitlines() or [""])[0]
        self._errors.append(f"model {self._index} failed: {type(error).__name__}: {first}")
        best = self._best.assessments[0].confidence
        self._next = self._guard.decide(best, replace(self.situation, turn=self._best.turn)).action
        return True

    def answered(
        self, result: Result, assessments: Sequence[Assessment], *, turn: Turn = "answer"
    ) -> None:
        """A model answered; `assessments` were made in this `situation`."""
        made = Outcome(result, assessments, self._index, self._asked, None, turn)
        self._next = assessments[0].action if assessments else "pass"
        if self._best is None or self._guard.keeps_last or _worth(made) > _worth(self._best):
            self._best = made

    def outcome(self) -> Outcome[Result]:
        """The answer with the highest p, of equals the earlier, or the last one where the policy
        says so; where it was to be retried or escalated, the policy decides once more, nothing
        being left to try."""
        best = self._best
        if best is None:
            raise UsageError("no model has answered: an outcome comes after the models")
        return Outcome(
            best.result,
            [self._final(assessment, best) for assessment in best.assessments],
            best.model_index,
            self._asked,
            "; ".join(self._errors) or None,
            best.turn,
        )

    @property
    def _models_left(self) -> int:
        return len(self._models) - self._index - 1

    def _final(self, assessment: Assessment, best: Outcome[Result]) -> Assessment:
        """No answer leaves with an action that nobody is left to carry out."""
        if assessment.action not in ("retry", "escalate"):
            return assessment
        last = Situation(
            models_left=0, model_index=best.model_index, exhausted=True, turn=best.turn
        )
        decision = self._guard.decide(assessment.confidence, last)
        if decision.action in ("retry", "escalate"):
            reason = f"{decision.reason}; nothing is left to try"
            decision = decision.model_copy(update={"action": "abstain", "reason": reason})
        return assessment.model_copy(update={"decision": decision})


def _worth(outcome: "Outcome[Result]") -> float:
    """p of the answer that decides; what was not scored is worth less than any score."""
    scored = [assessment.p for assessment in outcome.assessments[:1] if assessment.p is not None]
    return scored[0] if scored else -1.0
