"""Decisions by expected cost.

{"kind": "cost", "error": 20, "abstain": 2, "models": [{"price": 0.1}, {"price": 0.4}]}
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ct_guard.promises import Handover, HandoverBin
from ct_guard.records import Action, Confidence, Decision, Probability, Record

from .base import Situation
from .rules import reaches

__all__ = ["Cost", "PricedModel"]

BEYOND = 0.9999
"""A calibrator would need 10,000 graded rows to know a P(correct) above this from another."""
_SURE = 1e-6
"""P(correct) is taken to be this far from 0 and 1, so that its logit is finite."""


class PricedModel(Record):
    """A model that can be asked."""

    price: Annotated[float, Field(ge=0)]
    """Of a call, in the unit of the other costs."""
    name: str | None = None
    """As in the graded rows; of use where the estimator knows several sets of models."""
    correct: Probability | None = None
    """How often it is right where the model before it is unsure; None: as the estimator knows from
    graded rows of both."""


class Cost(Record):
    """Pass, abstain, or ask the next model, whichever costs least on average (Chow 1970).

    With e for an error, a for an abstention, and k for the call of the next model, passing costs
    e (1 - P), abstaining a, and asking k + V: V is what the next model's answer then costs on
    average, which is passed, abstained from, or handed on in its turn. V is taken from answers to
    graded questions where this model's P(correct) was as low as it is now (`Handover`), since
    errors of models go together; after a model was asked because the one before was unsure, its
    P(correct) is corrected by what is known of such answers. The latest answer counts.

    Prices are in any unit, the same for all. What was paid already decides nothing. Answers without
    a P(correct) count as wrong. Raises ValueError for costs by which no answer is ever let through.

    Source: Chow 1970, "On optimum recognition error and reject tradeoff".
    """

    kind: Literal["cost"] = "cost"
    error: Annotated[float, Field(gt=0)]
    abstain: Annotated[float, Field(gt=0)]
    models: Annotated[tuple[PricedModel, ...], Field(min_length=1)] = (PricedModel(price=0),)
    """In the order in which they are asked."""
    handover: Handover | None = None
    keep: Literal["last"] = "last"

    @model_validator(mode="after")
    def _can_decide(self) -> Self:
        known = self.handover
        if known is not None and len(known.models) != len(self.models):
            raise ValueError(
                f"{len(self.models)} models are priced, and graded rows tell of"
                f" {len(known.models)}: {', '.join(known.models)}"
            )
        for number, model in enumerate(self.models[1:], start=2):
            if known is None and model.correct is None:
                raise ValueError(
                    f"nothing is known of how often model {number} is right where model"
                    f" {number - 1} is unsure: grade answers of both to the same questions and give"
                    " them to 'ct-guard certify --cascade', or say its share as `correct`"
                )
        if not any(self._lets_through(stage) for stage in range(len(self.models))):
            raise ValueError(
                f"no answer is ever worth an error of {self.error:g} beside an abstention of"
                f" {self.abstain:g}: P(correct) would have to reach {self._stages[0].alone:.6f}"
                f"{self._highest()}; lower `error` or raise `abstain`"
            )
        return self

    @property
    def name(self) -> str:
        return f"cost of errors {self.error:g}, of abstaining {self.abstain:g}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        stage, asks = self._at(situation)
        threshold = stage.threshold if asks else stage.alone
        if reaches(confidence, threshold):
            return Decision(action="pass", policy=self.name, threshold=threshold)
        action: Action = "abstain"
        if asks and self._asking(stage, confidence.p or 0.0).cost < self.abstain:
            action = "escalate"
        status = f"status {confidence.status}: " if confidence.p is None else ""
        return Decision(
            action=action,
            policy=self.name,
            threshold=threshold,
            reason=status + self._compared(confidence.p or 0.0, stage, asks),
        )

    def explain(self, confidence: Confidence, situation: Situation | None = None) -> str:
        """The decision in words: what each choice costs on average, and what that rests on."""
        situation = situation or Situation()
        stage, asks = self._at(situation)
        p = confidence.p or 0.0
        decision = self.decide(confidence, situation)
        said = "no P(correct)" if confidence.p is None else f"P(correct) is {p:.3f}"
        if stage.shift and confidence.p is not None:
            said += f" ({stage.corrected(p):.3f} where the model before was unsure)"
        choice = {"pass": "let the answer through", "abstain": "abstain"}.get(decision.action)
        choice = choice or f"ask {self._called(stage.index + 1)}"
        compared = self._compared(p, stage, asks)
        text = (
            f"For the answer of {self._called(stage.index)}, {said}: {compared}."
            f" So {choice}; from P(correct)"
            f" {decision.threshold:.3f} on, answers are let through."
        )
        if not asks:
            return text + " No further model can be asked."
        asking = self._asking(stage, p)
        known = asking.known
        basis = (
            f"{known.right:,} of {known.rows:,} graded answers of {self._called(stage.index + 1)}"
            f" are right where P(correct) of {self._called(stage.index)} is about as high"
            if known is not None
            else f"{self._called(stage.index + 1)} is taken to be right in"
            f" {self.models[stage.index + 1].correct:.0%} of such cases"
        )
        return f"{text} Asking: {asking.price:g} for the call, then {asking.after:.3g}; {basis}."

    def _at(self, situation: Situation) -> "tuple[_Stage, bool]":
        """The stage of an answer, and whether the next model can be asked."""
        stage = self._stages[min(situation.model_index, len(self.models) - 1)]
        return stage, bool(stage.asking) and situation.may_escalate

    def _asking(self, stage: "_Stage", p: float) -> "_Asking":
        return next(one for one in reversed(stage.asking) if p >= one.low)

    def _compared(self, p: float, stage: "_Stage", asks: bool) -> str:
        said = f"passing costs {self.error * (1 - stage.corrected(p)):.3g}, abstaining"
        said += f" {self.abstain:.3g}"
        if not asks:
            return said
        return f"{said}, asking {self._called(stage.index + 1)} {self._asking(stage, p).cost:.3g}"

    def _called(self, index: int) -> str:
        name = self.models[index].name
        if name is None and self.handover is not None:
            name = self.handover.models[index]
        return name or f"model {index + 1}"

    def _highest(self) -> str:
        known = self.handover
        if known is None:
            return ""
        return f", and the highest of {known.n:,} graded rows is {known.highest[0]:.6f}"

    def _lets_through(self, index: int) -> bool:
        least = self._stages[index].alone
        return least <= (BEYOND if self.handover is None else self.handover.highest[index])

    @cached_property
    def _stages(self) -> "tuple[_Stage, ...]":
        """From the last model, after which nobody is asked, to the first."""
        stages: list[_Stage] = []
        for index in reversed(range(len(self.models))):
            shift = self._shift(index)
            after = stages[0] if stages else None
            asking = () if after is None else self._askings(index, after)
            alone = _unshifted(max(0.0, 1 - self.abstain / self.error), shift)
            threshold = self._threshold(asking, shift) if asking else alone
            stages.insert(0, _Stage(index, shift, asking, alone, threshold))
        return tuple(stages)

    def _shift(self, index: int) -> float:
        """Of a model's answers where the one before would not have been let through by itself."""
        if index == 0 or self.handover is None or self.models[index].correct is not None:
            return 0.0
        least = 1 - self.abstain / self.error
        step = self.handover.steps[index - 1]
        low = [one for one in step if one.low < least] or [step[0]]
        return sum(one.rows * one.shift for one in low) / sum(one.rows for one in low)

    def _askings(self, index: int, after: "_Stage") -> "tuple[_Asking, ...]":
        model = self.models[index + 1]
        if model.correct is not None or self.handover is None:
            cost = min(self.error * (1 - (model.correct or 0.0)), self.abstain)
            return (_Asking(0.0, model.price, cost, None),)
        return tuple(
            _Asking(one.low, model.price, self._expected(one, after), one)
            for one in self.handover.steps[index]
        )

    def _expected(self, known: HandoverBin, after: "_Stage") -> float:
        """V: what an answer of the next model costs on average, decided on as it will be."""
        costs = []
        for p in known.reached:
            asking = self._asking(after, p).cost if after.asking else math.inf
            if p >= after.threshold:
                costs.append(self.error * (1 - _shifted(p, known.shift)))
            else:
                costs.append(min(self.abstain, asking))
        return sum(costs) / len(costs)

    def _threshold(self, asking: "tuple[_Asking, ...]", shift: float) -> float:
        """The least P(correct) from which on passing always costs least."""
        above = 1.0
        for one in reversed(asking):
            best = min(self.abstain, one.cost)
            least = _unshifted(max(0.0, 1 - best / self.error), shift)
            if least > one.low:
                return min(least, above)
            above = one.low
        return 0.0


@dataclass(frozen=True)
class _Asking:
    """What the next model costs where P(correct) is at least `low`."""

    low: float
    price: float
    after: float
    known: HandoverBin | None

    @property
    def cost(self) -> float:
        return self.price + self.after


@dataclass(frozen=True)
class _Stage:
    index: int
    shift: float
    """Of P(correct), in logits."""
    asking: tuple[_Asking, ...]
    """By P(correct), from 0 upwards; empty where nobody is left to ask."""
    alone: float
    """The threshold where the next model cannot be asked."""
    threshold: float
    """The threshold where it can."""

    def corrected(self, p: float) -> float:
        return _shifted(p, self.shift)


def _shifted(p: float, shift: float) -> float:
    """sigmoid(logit(p) + shift)."""
    if not shift:
        return p
    p = min(max(p, _SURE), 1 - _SURE)
    return 1 / (1 + math.exp(min(-math.log(p / (1 - p)) - shift, 700.0)))


def _unshifted(p: float, shift: float) -> float:
    """The p that is shifted to this one; 0 where that is 0."""
    return p if p in (0.0, 1.0) else _shifted(p, -shift)
