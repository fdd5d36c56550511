"""What has to hold of a reading before its probability counts.

{"kind": "require", "calibrated": true, "truncated": false, "sanitized": false, "cut_off": false,
 "ood": 0.05, "policy": 0.7, "otherwise": "abstain"}
"""

from typing import Literal, Self

from pydantic import ConfigDict, model_validator

from ct_guard.records import Confidence, Decision, Probability, Record

from .base import Policy, Situation
from .rules import Then, feasible

__all__ = ["Require"]

_FLAGS = ("calibrated", "truncated", "sanitized", "cut_off")


class Require(Record):
    """Another policy, which is asked only about answers whose reading is as wanted; any other goes
    as `otherwise` says: an action, or a policy.

    `calibrated`, `truncated`, `sanitized` and `cut_off` say what the flag of that name must be
    (`Confidence`); None: either.
    `ood` is the least p-value, in [0, 1], of an answer like those that the estimator was calibrated
    on; one of which it is not known is not like them.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["require"] = "require"
    policy: Policy
    calibrated: bool | None = None
    truncated: bool | None = None
    sanitized: bool | None = None
    cut_off: bool | None = None
    ood: Probability | None = None
    otherwise: Then = "abstain"

    @model_validator(mode="after")
    def _requires_something(self) -> Self:
        if not self._wanted():
            raise ValueError(f"require at least one of {', '.join(_FLAGS)} and ood")
        return self

    @property
    def name(self) -> str:
        return f"{self.policy.name}, if {' and '.join(self._wanted())}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        missed = self._missed(confidence)
        if situation.tool is not None or not missed:
            decision = self.policy.decide(confidence, situation)
        elif isinstance(self.otherwise, str):
            action = feasible(self.otherwise, situation)
            decision = Decision(action=action, policy=self.name, reason=missed)
        else:
            decision = self.otherwise.decide(confidence, situation)
            decision = decision.model_copy(update={"reason": decision.reason or missed})
        return decision.model_copy(update={"policy": self.name})

    def _wanted(self) -> list[str]:
        flags = [(name, getattr(self, name)) for name in _FLAGS]
        wanted = [name if value else f"not {name}" for name, value in flags if value is not None]
        return [*wanted, *([f"ood p at least {self.ood:g}"] if self.ood is not None else [])]

    def _missed(self, confidence: Confidence) -> str:
        """The first thing that is not as wanted; empty where all is."""
        for name in _FLAGS:
            wanted = getattr(self, name)
            if wanted is not None and getattr(confidence, name) is not wanted:
                return f"not {name}" if wanted else name
        if self.ood is None:
            return ""
        if confidence.ood is None:
            return "ood not measured"
        return f"ood p {confidence.ood:.3f} < {self.ood:.3f}" if confidence.ood < self.ood else ""
