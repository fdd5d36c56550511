"""Thresholds for tools: which calls of an agent may run.

{"kind": "tools", "thresholds": {"delete_file": 0.9}, "default": 0.5, "answers": 0.7}
"""

import logging
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal

from pydantic import ConfigDict

from ct_guard.errors import PolicyError
from ct_guard.records import Confidence, Decision, Probability, Record, ReviewChoice

from .base import Policy, Situation
from .rules import Annotate, compare

__all__ = ["OnMissing", "ToolGate"]

_logger = logging.getLogger(__name__)

OnMissing = Literal["allow", "block"]
"""What happens to a call of a tool that has no score: let it run, or treat it as one below its
threshold, which does not run, or not before a person has decided."""


class ToolGate(Record):
    """Each call of a tool needs the confidence of its tool's threshold; answers go by `answers`.

    Tools that `thresholds` does not name need `default`; None: they always run. A call below its
    threshold does not run (`below` "abstain"), or a person decides ("human"); so does a call
    without a score, unless `on_missing` is "allow"."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["tools"] = "tools"
    thresholds: dict[str, Probability] = {}
    default: Probability | None = None
    below: Literal["abstain", "human"] = "abstain"
    allowed: tuple[ReviewChoice, ...] = ("approve", "edit", "respond", "reject")
    """What a person may do about a call, where they decide."""
    on_missing: OnMissing = "block"
    answers: Policy = Annotate()

    @property
    def name(self) -> str:
        return f"{self.answers.name}, tools gated"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        """Unlike other policies, it also decides on calls (`situation.tool`) without a score. A
        turn of calls passes as a whole, because each of its calls is decided on: by whoever runs
        them, or by `decide_turn`."""
        if situation.tool is not None:
            return self._call(confidence, situation.tool)
        if situation.turn == "tool_call":
            return Decision(action="pass", policy=self.name)
        decision = self.answers.decide(confidence, situation)
        return decision.model_copy(update={"policy": self.name})

    def decide_turn(self, calls: Iterable[tuple[str, Confidence]]) -> Decision:
        """For whoever can only deliver a turn of calls (name, confidence) whole: it passes where
        each of its calls may run, else it goes as the first that may not."""
        for tool, confidence in calls:
            decision = self._call(confidence, tool)
            if decision.action != "pass":
                reason = f"{tool}: {decision.reason}"
                return decision.model_copy(update={"reason": reason})
        return Decision(action="pass", policy=self.name)

    def check_names(self, known: Collection[str], *, all_known: bool = True) -> None:
        """Raises PolicyError for a threshold of a tool that is not among the `known` ones but named
        like one of them that has none: misspelt, it would gate nothing. Any other may be a tool of
        another agent under the same policy: if these are `all_known`, the log says so once."""
        unnamed = {name.casefold(): name for name in known if name not in self.thresholds}
        unknown = [name for name in self.thresholds if name not in known]
        for name in unknown:
            if near := get_close_matches(name.casefold(), unnamed, n=1):
                meant = f"did you mean {unnamed[near[0]]!r}?"
                raise PolicyError(f"the tool gate names {name!r}, which is no tool here: {meant}")
        if unknown and all_known:
            _say_unknown(", ".join(map(repr, unknown)), ", ".join(sorted(known)))

    def needs(self, tool: str) -> float | None:
        """The confidence that a call of this tool needs; None: it always runs."""
        return self.thresholds.get(tool, self.default)

    def _call(self, confidence: Confidence, tool: str) -> Decision:
        threshold = self.needs(tool)
        if threshold is None or (confidence.p is None and self.on_missing == "allow"):
            return Decision(action="pass", policy=self.name, threshold=threshold)
        decision = compare(confidence, threshold, self.name, self.below, self.allowed)
        if confidence.p is None:
            return decision.model_copy(update={"reason": "no score"})
        return decision


@lru_cache(maxsize=1024)
def _say_unknown(names: str, known: str) -> None:
    _logger.warning("the tool gate names %s, and there is no such tool among %s", names, known)
