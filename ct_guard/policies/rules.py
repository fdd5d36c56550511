"""Policies: from a confidence to a decision. Each is frozen data with one method.

A policy file holds one of these as JSON:

    {"kind": "annotate"}
    {"kind": "threshold", "threshold": 0.7, "below": "abstain"}
    {"kind": "certified", "alpha": 0.1, "delta": 0.1, "below": "abstain"}
    {"kind": "escalate", "threshold": 0.7, "otherwise": "abstain"}
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from ct_guard.records import Action, Certificate, Confidence, Decision, Probability, Record

__all__ = ["Annotate", "Certified", "Escalate", "Policy", "Situation", "Threshold"]


@dataclass(frozen=True)
class Situation:
    """What can still be done about an answer. `models_left` None: the caller routes escalations
    itself, as files do."""

    models_left: int | None = None


class Policy(Protocol):
    """A rule. It sees only answers that were scored, are empty, or decline (then p is None)."""

    @property
    def name(self) -> str:
        """Short and stable: it stands in records and output rows."""
        ...

    def decide(self, confidence: Confidence, situation: Situation) -> Decision: ...


class Annotate(Record):
    """Every answer passes; the confidence is only attached."""

    kind: Literal["annotate"] = "annotate"

    @property
    def name(self) -> str:
        return "annotate"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        return Decision(action="pass", policy=self.name)


class Threshold(Record):
    """Pass at or above the threshold, else `below`."""

    kind: Literal["threshold"] = "threshold"
    threshold: Probability
    below: Action = "abstain"

    @property
    def name(self) -> str:
        return f"threshold {self.threshold:g}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        return _compare(confidence, self.threshold, self.name, self.below)


class Certified(Record):
    """Pass at or above a threshold that keeps the promise of its certificate, else `below`."""

    kind: Literal["certified"] = "certified"
    certificate: Certificate
    below: Action = "abstain"

    @property
    def name(self) -> str:
        return f"certified alpha={self.certificate.alpha:g} delta={self.certificate.delta:g}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        threshold = self.certificate.threshold
        if threshold is None:
            reason = f"no certified threshold exists: {self.certificate.reason}"
            return Decision(action=self.below, policy=self.name, reason=reason)
        return _compare(confidence, threshold, self.name, self.below)


class Escalate(Record):
    """Below the threshold, ask the next stronger model; `otherwise` when none is left.

    `keep` says whose answer counts then: the one with the "best" p, or the "last" one, where the
    last model is trusted more than the estimator (with `otherwise` "pass").
    """

    kind: Literal["escalate"] = "escalate"
    threshold: Probability
    otherwise: Action = "abstain"
    keep: Literal["best", "last"] = "best"

    @property
    def name(self) -> str:
        return f"escalate below {self.threshold:g}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        below: Action = self.otherwise if situation.models_left == 0 else "escalate"
        return _compare(confidence, self.threshold, self.name, below)


def _compare(confidence: Confidence, threshold: float, name: str, below: Action) -> Decision:
    p = confidence.p
    if p is not None and p >= threshold:
        return Decision(action="pass", policy=name, threshold=threshold)
    reason = f"p {p:.3f} < {threshold:.3f}" if p is not None else f"status {confidence.status}"
    return Decision(action=below, policy=name, threshold=threshold, reason=reason)
