"""A bound on escalations: uncertainty must not send everything to the expensive model.

{"kind": "budget", "share": 0.2, "window": 100, "policy": {"kind": "escalate", "threshold": 0.7}}
"""

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from ct_guard.errors import PolicyError
from ct_guard.records import Confidence, Decision, Probability, Record

from .base import Policy, Situation, parts
from .ledger import Ledger

__all__ = ["Budget", "ledger_for"]

Price = Annotated[float, Field(ge=0)]


class Budget(Record):
    """Another policy, whose escalations are bounded over the latest `window` calls, and so is the
    drawing of further answers (`Resample`).

    At most `share` of them may escalate or draw (a call that climbs two models, or does both,
    counts twice), and together they may cost at most `cost`, in the unit of `prices`: what one
    answer of each stronger model costs, in their order; the last price holds for all that follow.
    A further answer of the first model costs `sample_price`. Once the budget is spent, the policy
    decides as if no stronger model were left, and nothing could be drawn.

    The spending is kept by whoever asks, one `Ledger` for each `Guard`, not in here: a policy stays
    data. Without a ledger nothing counts as spent.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: Literal["budget"] = "budget"
    policy: Policy
    share: Probability | None = None
    cost: Price | None = None
    prices: Annotated[tuple[Price, ...], Field(min_length=1)] = (1.0,)
    sample_price: Price = 1.0
    window: Annotated[int, Field(ge=1, le=100_000)] = 100

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.share is None and self.cost is None:
            raise ValueError("a budget needs a share, a cost, or both")
        return self

    @property
    def name(self) -> str:
        bounds = (
            f"{self.share:.0%} of calls" if self.share is not None else "",
            f"cost {self.cost:g}" if self.cost is not None else "",
        )
        return f"{self.policy.name}, within {' and '.join(filter(None, bounds))}"

    def decide(self, confidence: Confidence, situation: Situation) -> Decision:
        decision, price = self.policy.decide(confidence, situation), 0.0
        if decision.samples:
            price = self.sample_price * decision.samples
            if self._spend(price, situation):
                return self._signed(decision, price)
            situation = replace(situation, drawn=None)
            decision, price = self.policy.decide(confidence, situation), 0.0
        if decision.action == "escalate":
            price = self.prices[min(situation.model_index, len(self.prices) - 1)]
            if not self._spend(price, situation):
                decision = self.policy.decide(confidence, replace(situation, models_left=0))
                reason = f"{decision.reason}; the escalation budget is spent"
                decision, price = decision.model_copy(update={"reason": reason}), 0.0
        return self._signed(decision, price)

    def _signed(self, decision: Decision, price: float) -> Decision:
        cost = None if self.cost is None else price
        return decision.model_copy(update={"policy": self.name, "cost": cost})

    def _spend(self, price: float, situation: Situation) -> bool:
        if situation.ledger is None:
            return True
        most = float("inf") if self.share is None else self.share * self.window
        limit = float("inf") if self.cost is None else self.cost
        return situation.ledger.spend(price, most=most, limit=limit)


def ledger_for(policy: Policy) -> Ledger | None:
    """An empty ledger, where the policy has a budget. Raises PolicyError where it has two."""
    windows = [part.window for part in parts(policy) if isinstance(part, Budget)]
    if len(windows) > 1:
        raise PolicyError("a policy has one budget: put it around all the others")
    return Ledger(windows[0]) if windows else None
