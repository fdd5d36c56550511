"""Policies that keep promises beside the certified threshold: of a cascade, and of answers that are
let through and wrong.

    {"kind": "cascade", "alpha": 0.1, "delta": 0.1, "below": "abstain", "on_void": "abstain"}
    {"kind": "answered_wrong", "alpha": 0.05, "below": "abstain", "on_void": "abstain"}
"""

from typing import Literal

from ct_guard.promises import AnsweredWrong, CascadeCertificate
from ct_guard.records import Action, Confidence, Decision, Record

from .base import Situation
from .rules import OnVoid, compare, feasible, reaches, voided

__all__ = ["BelowAnsweredWrong", "Cascade"]


class Cascade(Record):
    """Pass at or above the threshold of the model that answered, else ask the next one of the
    certified order, and after the last `below`. Once the promise is void no answer passes, and each
    goes as `on_void` says, as for `Certified`.

    The promise is one about the whole cascade: the models must be those of the certificate, in its
    order. With fewer of them than it has stages nothing passes. The latest answer counts.
    """

    kind: Literal["cascade"] = "cascade"
    certificate: CascadeCertificate
    below: Literal["abstain", "human"] = "abstain"
    on_void: OnVoid = "abstain"
    keep: Literal["last"] = "last"

    @property
    def name(self) -> str:
        return f"cascade alpha={self.certificate.alpha:g} delta={self.certificate.delta:g}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        if void := situation.void(self.certificate):
            return voided(void, self.on_void, situation, self.name)
        stages, index = self.certificate.stages, situation.model_index
        if not stages:
            return self._refused(f"no cascade could be certified: {self.certificate.reason}")
        if index >= len(stages):
            return self._refused(f"{self._order()} were certified, and no model after them")
        missing = situation.models_left is not None and not situation.exhausted
        if missing and index + 1 + (situation.models_left or 0) < len(stages):
            return self._refused(f"{self._order()} were certified together, and not all are here")
        threshold = stages[index].threshold
        last = index == len(stages) - 1
        below: Action = "escalate" if not last and situation.may_escalate else self.below
        return compare(confidence, threshold, self.name, below)

    def explain(self, confidence: Confidence, situation: Situation | None = None) -> str:
        """The decision in words, and what is promised."""
        situation = situation or Situation()
        decision, found = self.decide(confidence, situation), self.certificate
        if not found.stages:
            return f"Abstain: {decision.reason}."
        if situation.void(found):
            return f"{decision.action.capitalize()}: {decision.reason}."
        index = min(situation.model_index, len(found.stages) - 1)
        stage = found.stages[index]
        if reaches(confidence, stage.threshold) and decision.action == "pass":
            said = f"P(correct) {confidence.p:.3f} reaches {stage.threshold:.3f}: it passes"
        else:
            said = f"{decision.reason}: {decision.action}"
        return (
            f"Answer of {stage.model}, stage {index + 1} of {len(found.stages)} ({self._order()}):"
            f" {said}. Of all that these models answer together, at most {found.alpha:.3g} is"
            f" wrong, with probability {1 - found.delta:.3g}."
        )

    def _refused(self, reason: str) -> Decision:
        return Decision(action=self.below, policy=self.name, reason=reason)

    def _order(self) -> str:
        return ", then ".join(stage.model for stage in self.certificate.stages)


class BelowAnsweredWrong(Record):
    """Pass at or above a threshold that keeps the share of all questions that are answered wrongly
    at most at alpha, on average, else `below`, as for `Threshold`; once that is void, no answer
    passes, and each goes as `on_void` says, as for `Certified`."""

    kind: Literal["answered_wrong"] = "answered_wrong"
    promise: AnsweredWrong
    below: Action = "abstain"
    on_void: OnVoid = "abstain"

    @property
    def name(self) -> str:
        return f"answered and wrong at most {self.promise.alpha:g}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        if void := situation.void(self.promise):
            return voided(void, self.on_void, situation, self.name)
        below = feasible(self.below, situation)
        if self.promise.threshold is None:
            reason = f"no such threshold exists: {self.promise.reason}"
            return Decision(action=below, policy=self.name, reason=reason)
        return compare(confidence, self.promise.threshold, self.name, below)
