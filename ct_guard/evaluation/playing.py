"""What policies do on graded answers of one or several models, and what that costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ct_guard.guard.ladder import Ladder
from ct_guard.policies import Ledger, Policy, Situation, decide, keeps_last, ledger_for
from ct_guard.promises import Costs
from ct_guard.records import Assessment, Confidence, Decision

__all__ = ["Played", "play"]

Floats = NDArray[np.float64]
Z = 1.959964
"""Of a 95% interval."""


@dataclass(frozen=True)
class Played:
    """What a policy did on n questions."""

    policy: str
    rows: int
    answered: int
    errors: int
    """Wrong among the answered."""
    people: int
    """Questions left to a person; they cost what an abstention costs."""
    calls: tuple[int, ...]
    """Of each model."""
    cost: float
    """Of a question, on average."""
    half_width: float
    """The 95% interval of `cost` reaches this far to both sides."""

    @property
    def coverage(self) -> float:
        return self.answered / self.rows

    @property
    def error_rate(self) -> float | None:
        """Among the answered; None where none is."""
        return self.errors / self.answered if self.answered else None


def play(
    policy: Policy,
    p: Floats,
    correct: NDArray[np.bool_],
    costs: Costs,
    *,
    order: Sequence[int] | None = None,
) -> Played:
    """Ask the models of every question as the policy wants it (by `guard.Ladder`, as in use).

    Args:
        policy: decides on every answer.
        p: P(correct), shape (n, K): a column a model.
        correct: whether the answers are, shape (n, K).
        costs: of what happens; K prices.
        order: which models can be asked, in this order; None: all, in that of the columns.

    A retry gets the same answer once more, and is paid for. Budgets are spent in the order of rows.
    """
    player = _Player(policy)
    models = range(p.shape[1]) if order is None else order
    prices = np.array(costs.prices)
    paid, answered, errors, people = np.zeros(len(p)), 0, 0, 0
    calls = np.zeros(p.shape[1], dtype=np.int64)
    for row in range(len(p)):
        ladder: Ladder[int, int] = Ladder(player, models)
        for model in ladder:
            calls[model] += 1
            paid[row] += prices[model]
            confidence = Confidence(p=float(p[row, model]), calibrated=True)
            decision = player.decide(confidence, ladder.situation)
            ladder.answered(model, [Assessment(confidence=confidence, decision=decision)])
        outcome = ladder.outcome()
        action = outcome.assessments[0].action
        if action == "pass":
            wrong = not bool(correct[row, outcome.result])
            answered, errors = answered + 1, errors + wrong
            paid[row] += costs.error * wrong
        else:
            people += action == "human"
            paid[row] += costs.abstain
    spread = float(paid.std(ddof=1)) if len(p) > 1 else 0.0
    return Played(
        policy=policy.name,
        rows=len(p),
        answered=answered,
        errors=errors,
        people=people,
        calls=tuple(calls.tolist()),
        cost=float(paid.mean()),
        half_width=Z * spread / float(np.sqrt(len(p))),
    )


class _Player:
    """Decides as a guard of this policy would, without an estimator."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._ledger: Ledger | None = ledger_for(policy)
        self.keeps_last = keeps_last(policy)

    def decide(self, confidence: Confidence, situation: Situation | None = None) -> Decision:
        situation = replace(situation or Situation(), ledger=self._ledger)
        return decide(self._policy, confidence, situation=situation)
