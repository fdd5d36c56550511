"""Where an agent's run is unlikely to succeed: stop, plan anew, or ask a person.

{"kind": "run", "threshold": 0.4, "below": "replan", "times": 1, "otherwise": "stop", "policy": 0.5}
"""

from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field

from ct_guard.records import Action, Confidence, Decision, Probability, Record, ReviewChoice
from ct_guard.runs import RunLayer

from .base import Policy, Situation
from .rules import MOST_RETRIES, Annotate

__all__ = ["Run"]

_ACTIONS: dict[str, Action] = {"stop": "abstain", "ask": "human", "pass": "pass"}


class Run(Record):
    """Another policy decides on each turn of an agent; one that it lets pass must also leave the
    run with P(success) at or above the threshold, by what all its turns and calls so far come to.

    Below it: "stop" ends the run, as an answer that is abstained from; "replan" asks the model once
    more, told that this will hardly succeed and another plan is wanted, at most `times` in a turn,
    then as `otherwise` says; "ask" leaves it to a person, who may do what `allowed` says. The
    latest turn counts. Where no turn of a run has a score, and outside of runs, the other policy
    decides alone.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["run"] = "run"
    threshold: Probability
    below: Literal["stop", "replan", "ask"] = "stop"
    times: Annotated[int, Field(ge=1, le=MOST_RETRIES)] = 1
    otherwise: Literal["stop", "ask", "pass"] = "stop"
    allowed: Annotated[tuple[ReviewChoice, ...], Field(min_length=1)] = get_args(ReviewChoice)
    policy: Policy = Annotate()
    layer: RunLayer
    """As the estimator knows it."""
    keep: Literal["last"] = "last"

    @property
    def name(self) -> str:
        return f"{self.policy.name}, {self.below} runs below {self.threshold:g}"

    @property
    def asks(self) -> bool:
        """Whether a person may have to decide."""
        return "ask" in (self.below, self.otherwise if self.below == "replan" else "")

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        decision = self.policy.decide(confidence, situation)
        p = None
        if decision.action == "pass" and situation.tool is None and situation.run:
            p = self.layer.p(situation.run)
        if p is None or p >= self.threshold:
            return decision.model_copy(update={"policy": self.name})
        reason = f"P(the run succeeds) {p:.3f} < {self.threshold:.3f}"
        action, told = self._below(situation), ""
        if action == "retry":
            told = (
                f"The way this run is going it will hardly succeed ({reason}). Do not go on as"
                " planned: check what was found so far, and make another plan."
            )
        return Decision(
            action=action,
            policy=self.name,
            threshold=self.threshold,
            reason=reason,
            allowed=self.allowed if action == "human" else (),
            told=told,
        )

    def _below(self, situation: Situation) -> Action:
        if self.below != "replan":
            return _ACTIONS[self.below]
        if situation.retries < self.times and not situation.exhausted:
            return "retry"
        return _ACTIONS[self.otherwise]
