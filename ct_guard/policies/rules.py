"""Policies: from a confidence to a decision. Each is frozen data with one method.

A policy file holds one of these as JSON:

    {"kind": "annotate"}
    {"kind": "threshold", "threshold": 0.7, "below": "abstain"}
    {"kind": "certified", "alpha": 0.1, "delta": 0.1, "below": "abstain", "on_void": "abstain"}
    {"kind": "escalate", "threshold": 0.7, "otherwise": "abstain"}
    {"kind": "retry", "threshold": 0.7, "times": 1, "otherwise": "abstain"}
    {"kind": "review", "threshold": 0.7, "hopeless": 0.1}

and, around others, `require` (see `require.py`), `tools` (`gate.py`), `resample` (`resample.py`)
and `budget` (`budget.py`).
They combine where `otherwise` is itself a policy. Ask again, then ask stronger models, then a
person:

    {"kind": "retry", "threshold": 0.7, "otherwise":
      {"kind": "escalate", "threshold": 0.7, "otherwise":
        {"kind": "review", "threshold": 0.7, "hopeless": 0.1}}}
"""

from functools import lru_cache
from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field

from ct_guard.certificates import Certificate
from ct_guard.errors import LowConfidenceError
from ct_guard.records import Action, Confidence, Decision, Probability, Record, ReviewChoice

from .base import Policy, Situation

__all__ = [
    "MOST_RETRIES",
    "Annotate",
    "Certified",
    "Escalate",
    "OnVoid",
    "Retry",
    "Review",
    "Threshold",
]

MOST_RETRIES = 10
"""No model is asked again more often than this for one answer, whatever the policy says."""

OnVoid = Literal["abstain", "escalate", "human", "raise"]
"""What becomes of every answer once the certificate is void. None of them lets it through."""

Then = Action | Policy
"""What follows where a rule has nothing more to try: an action, or another policy."""


class Annotate(Record):
    """Every answer passes; the confidence is only attached."""

    kind: Literal["annotate"] = "annotate"

    @property
    def name(self) -> str:
        return "annotate"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        return Decision(action="pass", policy=self.name)


class Threshold(Record):
    """Pass at or above the threshold, else `below`.

    Where stronger models are at hand they are asked before anything is abstained from; `below`
    "retry" asks once more.
    """

    kind: Literal["threshold"] = "threshold"
    threshold: Probability
    below: Action = "abstain"

    @property
    def name(self) -> str:
        return f"threshold {self.threshold:g}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        return compare(confidence, self.threshold, self.name, feasible(self.below, situation))


class Certified(Record):
    """Pass at or above a threshold that keeps the promise of its certificate, else `below`, as for
    `Threshold`.

    No answer passes once the certificate is void: each goes as `on_void` says; "raise" raises
    LowConfidenceError, and PolicyError where the certificate is loaded void already."""

    kind: Literal["certified"] = "certified"
    certificate: Certificate
    below: Action = "abstain"
    on_void: OnVoid = "abstain"

    @property
    def name(self) -> str:
        return f"certified alpha={self.certificate.alpha:g} delta={self.certificate.delta:g}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        if void := situation.void(self.certificate):
            return voided(void, self.on_void, situation, self.name)
        threshold, below = self.certificate.threshold, feasible(self.below, situation)
        if threshold is None:
            reason = f"no certified threshold exists: {self.certificate.reason}"
            return Decision(action=below, policy=self.name, reason=reason)
        return compare(confidence, threshold, self.name, below)


class Escalate(Record):
    """Below the threshold, ask the next stronger model; `otherwise` when none is left.

    `keep` says whose answer counts then: the one with the "best" p, or the "last" one, where the
    last model is trusted more than the estimator (with `otherwise` "pass").
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["escalate"] = "escalate"
    threshold: Probability
    otherwise: Then = "abstain"
    keep: Literal["best", "last"] = "best"

    @property
    def name(self) -> str:
        return f"escalate below {self.threshold:g}{_then(self.otherwise)}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        if reaches(confidence, self.threshold) or situation.may_escalate:
            return compare(confidence, self.threshold, self.name, "escalate")
        return follow(self.otherwise, confidence, situation, self.threshold, self.name)


class Retry(Record):
    """Below the threshold, ask the same model again, up to `times`, then `otherwise`.

    The best of its answers counts. Of use where the model samples: without a temperature, or with a
    cache in front of it, it repeats itself.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["retry"] = "retry"
    threshold: Probability
    times: Annotated[int, Field(ge=1, le=MOST_RETRIES)] = 1
    otherwise: Then = "abstain"

    @property
    def name(self) -> str:
        return f"retry {self.times}x below {self.threshold:g}{_then(self.otherwise)}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        left = not situation.exhausted and situation.retries < self.times
        if reaches(confidence, self.threshold) or left:
            return compare(confidence, self.threshold, self.name, "retry")
        return follow(self.otherwise, confidence, situation, self.threshold, self.name)


class Review(Record):
    """Below the threshold, a person decides: `allowed` says what they may do.

    Below `hopeless` nobody is bothered: the answer is abstained from.
    """

    kind: Literal["review"] = "review"
    threshold: Probability
    hopeless: Probability = 0.0
    allowed: Annotated[tuple[ReviewChoice, ...], Field(min_length=1)] = get_args(ReviewChoice)

    @property
    def name(self) -> str:
        return f"review below {self.threshold:g}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        if confidence.p is not None and confidence.p < self.hopeless:
            below = feasible("abstain", situation)
            return compare(confidence, min(self.hopeless, self.threshold), self.name, below)
        return compare(confidence, self.threshold, self.name, "human", self.allowed)


def voided(why: str, on_void: OnVoid, situation: Situation, name: str) -> Decision:
    """What becomes of an answer behind a promise that is void. Raises LowConfidenceError where
    that is wanted."""
    if on_void == "raise":
        raise LowConfidenceError(why)
    # a stronger model's answer would not pass either: it is asked only where that is wanted
    then = "abstain" if on_void == "abstain" else feasible(on_void, situation)
    return Decision(action=then, policy=name, reason=why)


def reaches(confidence: Confidence, threshold: float) -> bool:
    """Whether p is known and at or above the threshold."""
    return confidence.p is not None and confidence.p >= threshold


def compare(
    confidence: Confidence,
    threshold: float,
    name: str,
    below: Action,
    allowed: tuple[ReviewChoice, ...] = (),
) -> Decision:
    """Pass at or above the threshold; else `below`, with the reason."""
    if reaches(confidence, threshold):
        return _decision("pass", name, threshold)
    p = confidence.p
    reason = f"p {p:.3f} < {threshold:.3f}" if p is not None else f"status {confidence.status}"
    return _decision(below, name, threshold, reason, allowed if below == "human" else ())


@lru_cache(maxsize=4096)
def _decision(
    action: Action,
    policy: str,
    threshold: float,
    reason: str = "",
    allowed: tuple[ReviewChoice, ...] = (),
) -> Decision:
    """One for all answers that it is said of: most of a file share some hundreds."""
    return Decision(
        action=action, policy=policy, threshold=threshold, reason=reason, allowed=allowed
    )


def feasible(action: Action, situation: Situation) -> Action:
    """The action as far as it can still be carried out.

    Stronger models are asked before an answer is abstained from; without one, and after one retry,
    abstaining is what is left.
    """
    if action == "retry":
        return "retry" if situation.retries == 0 and not situation.exhausted else "abstain"
    if action == "escalate":
        return "escalate" if situation.may_escalate else "abstain"
    if action == "abstain" and situation.models_left and situation.may_escalate:
        return "escalate"
    return action


def follow(
    then: Then, confidence: Confidence, situation: Situation, threshold: float, name: str
) -> Decision:
    """The decision of `then`, in the name of the policy that it belongs to."""
    if isinstance(then, str):
        return compare(confidence, threshold, name, feasible(then, situation))
    return then.decide(confidence, situation).model_copy(update={"policy": name})


def _then(then: Then) -> str:
    return "" if isinstance(then, str) else f", then {then.name}"
