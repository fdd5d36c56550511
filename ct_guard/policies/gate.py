"""Thresholds for tools: which calls of an agent may run.

{"kind": "tools", "thresholds": {"delete_file": 0.9}, "default": 0.5, "answers": 0.7}
"""

from typing import Literal

from pydantic import ConfigDict

from ct_guard.records import Confidence, Decision, Probability, Record, ReviewChoice

from .base import Policy, Situation
from .rules import Annotate, compare

__all__ = ["OnMissing", "ToolGate"]

OnMissing = Literal["allow", "block"]
"""What happens to a call of a tool that has no score: let it run, or not."""


class ToolGate(Record):
    """Each call of a tool needs the confidence of its tool's threshold; answers go by `answers`.

    Tools that `thresholds` does not name need `default`; None: they always run. A call below its
    threshold does not run (`below` "abstain"), or a person decides ("human").
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["tools"] = "tools"
    thresholds: dict[str, Probability] = {}
    default: Probability | None = None
    below: Literal["abstain", "human"] = "abstain"
    allowed: tuple[ReviewChoice, ...] = ("approve", "edit", "respond", "reject")
    """What a person may do about a call, where they decide."""
    on_missing: OnMissing = "allow"
    answers: Policy = Annotate()

    @property
    def name(self) -> str:
        return f"{self.answers.name}, tools gated"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        """Unlike other policies, it also decides on calls (`situation.tool`) without a score. A
        turn of calls passes as a whole, because each of its calls is decided on."""
        if situation.tool is not None:
            return self._call(confidence, situation.tool)
        if situation.turn == "tool_call":
            return Decision(action="pass", policy=self.name)
        decision = self.answers.decide(confidence, situation)
        return decision.model_copy(update={"policy": self.name})

    def _call(self, confidence: Confidence, tool: str) -> Decision:
        threshold = self.thresholds.get(tool, self.default)
        if threshold is None or (confidence.p is None and self.on_missing == "allow"):
            return Decision(action="pass", policy=self.name, threshold=threshold)
        decision = compare(confidence, threshold, self.name, self.below, self.allowed)
        if confidence.p is None:
            return decision.model_copy(update={"reason": "no score"})
        return decision
