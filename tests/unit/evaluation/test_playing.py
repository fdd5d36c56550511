"""Policies played on graded answers: what they answer, ask and cost."""

from typing import Any

import numpy as np
import pytest

from ct_guard.evaluation.playing import play
from ct_guard.policies import (
    Annotate,
    Budget,
    Cascade,
    Cost,
    Escalate,
    Policy,
    PricedModel,
    Retry,
    Review,
    Threshold,
)
from ct_guard.promises import CascadeCertificate, Costs, Stage
from ct_guard.risk import fit_handover

P = np.array([[0.9, 0.9], [0.4, 0.8], [0.4, 0.3], [0.6, 0.2]])
RIGHT = np.array([[True, True], [False, True], [False, False], [False, True]])
COSTS = Costs(error=10, abstain=2, prices=(0.5, 1.0))


def told(policy: Policy, **options: Any) -> tuple[int, int, tuple[int, ...], float]:
    made = play(policy, P, RIGHT, COSTS, **options)
    return made.answered, made.errors, made.calls, made.cost * 4


@pytest.mark.parametrize(
    ("policy", "answered", "errors", "calls", "cost"),
    [
        (Annotate(), 4, 3, (4, 0), 2.0 + 30),
        (Threshold(threshold=0.7), 2, 0, (4, 3), 2.0 + 3 + 4),
        (Threshold(threshold=0.5), 3, 1, (4, 2), 2.0 + 2 + 10 + 2),
        (Escalate(threshold=1.0, otherwise="pass", keep="last"), 4, 1, (4, 4), 2.0 + 4 + 10),
        (Retry(threshold=0.7, times=1), 2, 0, (7, 5), 3.5 + 5 + 4),
        (Budget(policy=Threshold(threshold=0.7), cost=0.0), 1, 0, (4, 0), 2.0 + 6),
    ],
)
def test_answers_errors_calls_and_costs_add_up(
    policy: Policy, answered: int, errors: int, calls: tuple[int, int], cost: float
) -> None:
    *counts, spent = told(policy)
    assert counts == [answered, errors, calls]
    assert spent == pytest.approx(cost)


def test_what_waits_for_a_person_costs_as_an_abstention() -> None:
    made = play(Review(threshold=0.7), P, RIGHT, COSTS)
    assert (made.answered, made.people) == (1, 3)
    assert made.cost * 4 == pytest.approx(2.0 + 6)


def test_a_cascade_asks_in_its_own_order() -> None:
    certificate = CascadeCertificate(
        alpha=0.1, delta=0.1, models=("a", "b"), costs=COSTS, learnt=1, n=9, answered=9,
        stages=(Stage(model="b", threshold=0.85), Stage(model="a", threshold=0.5)), asked=(9, 9),
    )  # fmt: skip
    assert told(Cascade(certificate=certificate), order=[1, 0])[:3] == (2, 1, (3, 4))


def test_figures_that_nothing_was_measured_of_are_none() -> None:
    made = play(Threshold(threshold=1.0), P[:1], RIGHT[:1], COSTS)
    assert (made.coverage, made.error_rate, made.half_width) == (0.0, None, 0.0)


def test_the_cost_policy_costs_least_on_held_out_rows_of_models_that_fail_together() -> None:
    """The stronger model is worth its price for questions that the weaker one may not know, and
    not for those that neither knows."""
    rng = np.random.default_rng(0)
    p = np.clip(rng.uniform(0, 1, (4000, 1)) + rng.normal(0, 0.1, (4000, 2)) + [0, 0.2], 0.01, 0.99)
    right = rng.random((4000, 2)) < p
    costs = Costs(error=10, abstain=4, prices=(0.1, 1.0))
    policy = Cost(
        error=10,
        abstain=4,
        models=(PricedModel(price=0.1), PricedModel(price=1.0)),
        handover=fit_handover(p[:2000], right[:2000], models=("a", "b")),
    )
    made = play(policy, p[2000:], right[2000:], costs)
    others: list[Policy] = [
        Annotate(),
        Threshold(threshold=0.6),
        Escalate(threshold=1.0, otherwise="pass", keep="last"),
    ]
    for other in others:
        assert made.cost < play(other, p[2000:], right[2000:], costs).cost, other.name
    assert 0 < made.calls[1] < 2000
