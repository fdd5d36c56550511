"""What becomes of each field of an answer in JSON: it is filled in, or a person sees it first, or
it is left out, or the answer is asked for again on its account.

{"kind": "fields", "threshold": 0.9, "below": "review", "policy": 0.5,
 "rules": {"invoice.total": {"threshold": 0.98, "below": "retry"}, "notes": {"below": "drop"}}}
"""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import ConfigDict, field_validator, model_validator

from ct_guard.fields import group_of, parse_path
from ct_guard.promises import FieldCertificate
from ct_guard.records import (
    Confidence,
    Decision,
    FieldAction,
    FieldConfidence,
    Probability,
    Record,
)

from .base import Policy, Situation, parts
from .rules import Annotate

__all__ = ["FieldRule", "Fields"]


class FieldRule(Record):
    """Of one field, or one group of them; what is None goes as for all other fields."""

    threshold: Probability | None = None
    below: FieldAction | None = None


class Fields(Record):
    """Another policy, which decides on the answer; where that passes, each field is decided on.

    A field passes at or above its threshold; below it, and without a P, it goes as `below` says.
    The threshold is a number, or that of a `certificate` of the estimator's; with neither, fields
    pass unless a rule of their own says otherwise. `rules` are by path, by group of paths
    (`items[].price`), or by an object that fields lie in (`invoice`); the longest that fits counts.
    `retry` asks for the answer once more where that can be done, else a person sees the field.
    `paths` are the fields that are judged; none: every leaf.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["fields"] = "fields"
    policy: Policy = Annotate()
    paths: tuple[str, ...] = ()
    threshold: Probability | None = None
    certificate: FieldCertificate | None = None
    below: FieldAction = "review"
    rules: Mapping[str, FieldRule] = {}

    @field_validator("paths", "rules")
    @classmethod
    def _are_paths(cls, named: object) -> object:
        for path in named if isinstance(named, tuple | Mapping) else ():
            parse_path(path)
        return named

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.threshold is not None and self.certificate is not None:
            raise ValueError("the threshold of fields is a number or a certificate's, not both")
        if any(isinstance(part, Fields) for part in parts(self.policy)):
            raise ValueError("fields are decided on once: put the rules of both into one")
        return self

    @property
    def name(self) -> str:
        return f"{self.policy.name}, fields{self._about}"

    @property
    def _about(self) -> str:
        if self.certificate is not None:
            return f" certified alpha={self.certificate.alpha:g} delta={self.certificate.delta:g}"
        return "" if self.threshold is None else f" from {self.threshold:g}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        decision = self.policy.decide(confidence, situation)
        decision = decision.model_copy(update={"policy": self.name})
        if confidence.fields is None or situation.tool is not None or decision.action != "pass":
            return decision
        actions = {path: self._action(path, one) for path, one in confidence.fields.items()}
        again = [path for path, action in actions.items() if action == "retry"]
        if again and situation.retries == 0 and not situation.exhausted:
            reason = f"field {again[0]}: {_why(confidence.fields[again[0]])}"
            update = {"action": "retry", "fields": actions, "reason": reason}
            return decision.model_copy(update=update)
        settled = {p: "review" if action == "retry" else action for p, action in actions.items()}
        return decision.model_copy(update={"fields": settled})

    def _action(self, path: str, field: FieldConfidence) -> FieldAction:
        rule = self._rule(path)
        common = self.threshold if self.certificate is None else self.certificate.threshold
        threshold = common if rule.threshold is None else rule.threshold
        unknown = threshold is None and self.certificate is not None
        if not unknown and (threshold is None or (field.p is not None and field.p >= threshold)):
            return "pass"
        return rule.below or self.below

    def _rule(self, path: str) -> FieldRule:
        steps = parse_path(path)
        names = {path, group_of(steps)}
        for length in range(1, len(steps)):
            names.add(group_of(steps[:length]))
        fitting = [name for name in self.rules if name in names]
        return self.rules[max(fitting, key=len)] if fitting else FieldRule()


def _why(field: FieldConfidence) -> str:
    return f"p {field.p:.3f}" if field.p is not None else f"status {field.status}"
