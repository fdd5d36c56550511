"""Escalation: which model is asked next, and whose answer is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ct_guard.errors import UsageError
from ct_guard.guard import Guard
from ct_guard.policies import Escalate, Situation
from ct_guard.records import Assessment

__all__ = ["Ladder", "Outcome"]

Model = TypeVar("Model")
Result = TypeVar("Result")

_JUDGED = ("ok", "empty", "refusal")


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What is returned: a model's result, and the assessment of each of its answers."""

    result: Result
    assessments: Sequence[Assessment]
    model_index: int
    attempts: int
    error: str | None
    """The stronger models that failed, by index."""


class Ladder(Generic[Model, Result]):
    """Models in order of strength. Asks nobody itself, so that sync and async callers share it:

        for model in ladder:
            ladder.answered(result, assessments)  # or, where the model raised, failed(error)
        ladder.outcome()

    The next model is asked while the answer would be escalated or abstained from. An answer that
    could not be scored ends the climb: a stronger model does not cure that. Of several answers in
    a result, the first one decides.
    """

    def __init__(self, guard: Guard, models: Sequence[Model]) -> None:
        self._guard, self._models = guard, models
        policy = guard.policy
        self._keep_last = isinstance(policy, Escalate) and policy.keep == "last"
        self._asked = 0
        self._best: Outcome[Result] | None = None
        self._settled = False
        self._errors: list[str] = []

    def __iter__(self) -> Iterator[Model]:
        for model in self._models:
            self._asked += 1
            yield model
            if self._settled:
                return

    @property
    def index(self) -> int:
        """Of the model that is being asked."""
        return self._asked - 1

    @property
    def situation(self) -> Situation:
        """What the policy is told of the answer at hand."""
        return Situation(models_left=len(self._models) - self._asked)

    def failed(self, error: Exception) -> bool:
        """A model raised. Whether there is an answer to go on with: the first model's error is the
        caller's."""
        if self._best is None:
            return False
        first = (str(error).strip().splitlines() or [""])[0]
        self._errors.append(f"model {self.index} failed: {type(error).__name__}: {first}")
        return True

    def answered(self, result: Result, assessments: Sequence[Assessment]) -> None:
        """A model answered; `assessments` were made in this `situation`."""
        made = Outcome(result, assessments, self.index, self._asked, None)
        self._settled = not any(map(_may_climb, assessments[:1]))
        if self._best is None or self._keep_last or _worth(made) > _worth(self._best):
            self._best = made

    def outcome(self) -> Outcome[Result]:
        """The answer with the highest p, of equals the earlier, or the last one where the policy
        says so; where it was to be escalated, the policy decides once more, no model being left."""
        best = self._best
        if best is None:
            raise UsageError("no model has answered: an outcome comes after the models")
        return Outcome(
            best.result,
            [self._final(assessment) for assessment in best.assessments],
            best.model_index,
            self._asked,
            "; ".join(self._errors) or None,
        )

    def _final(self, assessment: Assessment) -> Assessment:
        """No answer leaves with the action `escalate`: nobody is left who would act on it."""
        if assessment.action != "escalate":
            return assessment
        decision = self._guard.decide(assessment.confidence, Situation(models_left=0))
        if decision.action == "escalate":
            reason = f"{decision.reason}; no stronger model is left"
            decision = decision.model_copy(update={"action": "abstain", "reason": reason})
        return Assessment(confidence=assessment.confidence, decision=decision)


def _may_climb(assessment: Assessment) -> bool:
    judged = assessment.confidence.status in _JUDGED
    return judged and assessment.action in ("escalate", "abstain")


def _worth(outcome: "Outcome[Result]") -> float:
    """p of the answer that decides; what was not scored is worth less than any score."""
    scored = [assessment.p for assessment in outcome.assessments[:1] if assessment.p is not None]
    return scored[0] if scored else -1.0
