"""Retry and escalation: which model is asked next, and whose answer is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from ct_guard.errors import UsageError
from ct_guard.policies import MOST_RETRIES, Situation, Turn
from ct_guard.records import Action, Assessment, Confidence, Decision
from ct_guard.runs import RunTurn

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
    """The retries, stronger models and further answers that failed."""
    turn: Turn = "answer"
    samples: int | None = None
    """How many further answers came; None: none were drawn."""
    cost: float | None = None
    """What was spent, in the unit of the budget's prices; None: no budget counts it."""
    run: tuple[RunTurn, ...] | None = None
    """The turns of an agent's run, this one included; None: it is of none."""


class Ladder(Generic[Model, Result]):
    """Models in order of strength. Asks nobody itself, so that sync and async callers share it:

        for model in ladder:
            ladder.answered(result, assessments)  # or, where the model raised, failed(error)
        ladder.outcome()

    The policy's decision on the latest answer says how it goes on: "retry" asks the same model
    again, "escalate" the next one, anything else ends it. Of several answers in a result, the first
    one decides. Where it wants further answers (`Decision.samples`), they are drawn from the same
    model, and `drew` says so before the policy decides once more.

    `delivered`: the answer has its reader, and nothing is tried after it.
    """

    def __init__(self, guard: Decider, models: Sequence[Model], *, delivered: bool = False) -> None:
        self._guard, self._models, self._delivered = guard, models, delivered
        self._index = self._retries = self._asked = 0
        self._samples: int | None = None
        self._wanted = 0
        self._cost: float | None = None
        self._best: Outcome[Result] | None = None
        self._next: Action = "pass"
        self._errors: list[str] = []

    def __iter__(self) -> Iterator[Model]:
        while True:
            self._asked += 1
            yield self._models[self._index]
            if self._delivered:
                return
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
            models_left=self._models_left,
            model_index=self._index,
            retries=self._retries,
            exhausted=self._delivered,
            drawn=None if self._index else self._samples is not None,
        )

    def failed(self, error: Exception) -> bool:
        """A model raised. Whether there is an answer to go on with: the first error is the
        caller's, later ones are noted, and the policy says how the best answer so far goes on."""
        if self._best is None:
            return False
        self._errors.append(f"model {self._index} failed: {_named(error)}")
        best = self._best.assessments[0].confidence
        situation = replace(self.situation, turn=self._best.turn, drawn=None, run=self._best.run)
        self._go_on(self._guard.decide(best, situation))
        return True

    def wanting(self, assessment: Assessment) -> Decision | None:
        """The decision on the answer at hand where it wants further answers, before it counts."""
        wants = assessment.decision.samples and self.situation.drawn is False
        return assessment.decision if wants else None

    def drew(self, decision: Decision, failed: Sequence[Exception]) -> None:
        """The further answers of a decision were drawn, but for those that failed."""
        self._spent(decision)
        self._asked += decision.samples
        self._wanted = decision.samples
        self._samples = decision.samples - len(failed)
        if failed:
            said = f"{len(failed)} of {decision.samples} further answers failed"
            self._errors.append(f"{said}: {_named(failed[0])}")

    def answered(
        self,
        result: Result,
        assessments: Sequence[Assessment],
        *,
        turn: Turn = "answer",
        run: tuple[RunTurn, ...] | None = None,
    ) -> None:
        """A model answered; `assessments` were made in this `situation`, and in that `run` of an
        agent."""
        made = Outcome(result, assessments, self._index, self._asked, None, turn, run=run)
        if assessments:
            self._go_on(assessments[0].decision)
        else:
            self._next = "pass"
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
            self._samples,
            self._cost,
            best.run,
        )

    @property
    def retried(self) -> int:
        """How often a model was asked beyond the first time, further answers left out."""
        return self._asked - 1 - self._wanted

    def _go_on(self, decision: Decision) -> None:
        self._next = decision.action
        self._spent(decision)

    def _spent(self, decision: Decision) -> None:
        if decision.cost is not None:
            self._cost = (self._cost or 0.0) + decision.cost

    @property
    def _models_left(self) -> int:
        return len(self._models) - self._index - 1

    def _final(self, assessment: Assessment, best: Outcome[Result]) -> Assessment:
        """No answer leaves with an action that nobody is left to carry out."""
        if assessment.action not in ("retry", "escalate"):
            return assessment
        last = Situation(
            models_left=0,
            model_index=best.model_index,
            exhausted=True,
            turn=best.turn,
            run=best.run,
        )
        decision = self._guard.decide(assessment.confidence, last)
        if decision.action in ("retry", "escalate"):
            reason = f"{decision.reason}; nothing is left to try"
            decision = decision.model_copy(update={"action": "abstain", "reason": reason})
        return assessment.model_copy(update={"decision": decision})


def _named(error: Exception) -> str:
    """An error in one line."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"


def _worth(outcome: "Outcome[Result]") -> tuple[bool, float]:
    """p of the answer that decides; of one whose fields were judged, the share of them that is
    right, as far as their p say. What was not scored is worth less than any score."""
    confidence = outcome.assessments[0].confidence if outcome.assessments else Confidence(p=None)
    if fields := list((confidence.fields or {}).values()):
        return True, sum(field.p or 0.0 for field in fields) / len(fields)
    return False, -1.0 if confidence.p is None else confidence.p
