"""Certified cascades: the promise by simulation, counts by brute force, corner cases."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from ct_guard.errors import UsageError
from ct_guard.evaluation.figures import Bools, Floats
from ct_guard.promises import CascadeCertificate, Costs
from ct_guard.risk import certify_cascade
from ct_guard.risk.cascade import _count, _plan

COSTS = Costs(abstain=10.0, prices=(0.0, 1.0))


def draw(n: int, rng: np.random.Generator) -> tuple[Floats, Bools]:
    """Two models' calibrated P(correct), which share a difficulty, and labels."""
    p = expit(np.array([0.5, 1.8]) - rng.normal(0, 1.5, (n, 1)) + rng.normal(size=(n, 2)))
    return p, rng.random((n, 2)) < p


def third(n: int) -> Bools:
    return np.arange(n) < n / 3


def run(
    stages: Sequence[tuple[str, float]],
    p: Floats,
    correct: Bools,
    names: tuple[str, ...] = ("weak", "strong"),
) -> tuple[int, int, dict[str, int]]:
    """Answered, errors, calls of each model, row by row."""
    answered = errors = 0
    calls = dict.fromkeys(names, 0)
    for scores, right in zip(p, correct, strict=True):
        for name, threshold in stages:
            model = names.index(name)
            calls[name] += 1
            if scores[model] >= threshold:
                answered, errors = answered + 1, errors + (not right[model])
                break
    return answered, errors, calls


def made(
    n: int = 900, seed: int = 0, alpha: float = 0.15, **options: Any
) -> tuple[CascadeCertificate, Floats, Bools]:
    p, correct = draw(n, np.random.default_rng(seed))
    given: dict[str, Any] = {"models": ("weak", "strong"), "costs": COSTS, "alpha": alpha}
    return certify_cascade(p, correct, third(n), **(given | options)), p, correct


def test_what_a_certificate_says_can_be_checked_from_the_rows() -> None:
    found, p, correct = made()
    tested = ~third(900)
    stages = [(one.model, one.threshold) for one in found.stages]
    answered, errors, calls = run(stages, p[tested], correct[tested])
    assert (found.n, found.learnt) == (600, 300)
    assert (found.answered, found.errors) == (answered, errors)
    assert found.asked == tuple(calls[one.model] for one in found.stages)
    assert binom.cdf(errors, answered, 0.15) <= 0.1
    assert found.cost == pytest.approx((calls["strong"] + 10 * (600 - answered)) / 600)
    assert CascadeCertificate.model_validate_json(found.model_dump_json()) == found


def test_the_claim_is_broken_in_at_most_delta_of_draws() -> None:
    population, _ = draw(20_000, np.random.default_rng(9))
    rng = np.random.default_rng(0)
    broken, coverage = 0, []
    for _ in range(100):
        p, correct = draw(600, rng)
        found = certify_cascade(
            p, correct, third(600), models=("weak", "strong"), costs=COSTS, alpha=0.15
        )
        left, answered, errors = np.ones(len(population), bool), 0, 0.0
        for stage in found.stages:
            scores = population[:, ("weak", "strong").index(stage.model)]
            passed = left & (scores >= stage.threshold)
            answered, errors = answered + passed.sum(), errors + (1 - scores[passed]).sum()
            left &= ~passed
        broken += answered > 0 and errors / answered > 0.15
        coverage.append(answered / len(population))
    assert broken / 100 <= 0.1 + 0.06  # two standard errors of 100 draws
    assert np.mean(coverage) > 0.4


@pytest.mark.parametrize("models", [1, 2, 3])
def test_all_configurations_are_counted_as_row_by_row(models: int) -> None:
    rng = np.random.default_rng(models)
    p = rng.choice([0.2, 0.5, 0.8], (60, models))
    correct = rng.random((60, models)) < p
    plan = _plan(p)
    wrong = (~correct).astype(float)
    counted = _count(p, plan, lambda order: [wrong[:, model] for model in order])
    names = tuple(map(str, range(models)))
    sizes = sum(np.prod(plan.shape(order)) for order in range(len(plan.orders)))
    assert len(counted.answered) == sizes
    for number in range(0, sizes, 7):
        stages = [(str(model), threshold) for model, threshold in plan.stages(number)]
        answered, errors, calls = run(stages, p, correct, names)
        assert (counted.answered[number], counted.errors[number]) == (answered, errors)
        assert counted.calls[number].tolist() == [calls[name] for name in names]


def test_every_order_of_every_choice_is_tried() -> None:
    plan = _plan(np.random.default_rng(0).random((50, 3)))
    assert len(plan.orders) == 3 + 6 + 6
    assert all(grid[0] == 0.0 for grids in plan.grids for grid in grids)


def test_the_stronger_model_is_asked_only_where_the_weaker_is_unsure() -> None:
    found, *_ = made(n=3000)
    assert [one.model for one in found.stages] == ["weak", "strong"]
    assert found.asked[0] == found.n > found.asked[1]


def test_a_model_that_adds_nothing_is_left_out() -> None:
    p, correct = draw(900, np.random.default_rng(0))
    costs = Costs(abstain=10.0, prices=(50.0, 1.0))
    found = certify_cascade(
        p, correct, third(900), models=("dear and weak", "strong"), costs=costs, alpha=0.15
    )
    assert [one.model for one in found.stages] == ["strong"]


def test_labels_of_the_tested_rows_do_not_choose_what_is_tested() -> None:
    """Other labels there may end the sequence elsewhere, but not change its configurations."""
    p, correct = draw(900, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    seen: dict[bool, set[float]] = {True: set(), False: set()}
    for learn_too, _ in product((True, False), range(8)):
        other = correct.copy()
        rows = third(900) if learn_too else ~third(900)
        other[rows] = rng.random((rows.sum(), 2)) < p[rows]
        found = certify_cascade(p, other, third(900), models=("a", "b"), costs=COSTS, alpha=0.15)
        seen[learn_too].update(one.threshold for one in found.stages)
    candidates = {
        float(value) for grids in _plan(p[third(900)]).grids for g in grids for value in g
    }
    assert seen[True] | seen[False] <= candidates


def test_without_a_cascade_the_reason_says_what_would_help() -> None:
    p, _ = draw(300, np.random.default_rng(0))
    wrong = np.zeros((300, 2), bool)
    found = certify_cascade(p, wrong, third(300), models=("a", "b"), costs=COSTS)
    assert (found.stages, found.answered, found.coverage, found.cost) == ((), 0, None, None)
    assert "errors among" in found.reason
    assert "grade more rows, raise alpha" in found.reason
    few = certify_cascade(p[:20], wrong[:20], third(20), models=("a", "b"), costs=COSTS)
    assert "22 answered rows are needed" in few.reason


def test_scores_that_are_all_alike_are_one_threshold() -> None:
    correct = np.ones((300, 2), bool)
    found = certify_cascade(
        np.full((300, 2), 0.7), correct, third(300), models=("a", "b"), costs=COSTS
    )
    assert found.coverage == 1.0
    assert [one.model for one in found.stages] == ["a"]  # the cheap one will do


@pytest.mark.parametrize(
    "change",
    [
        {"p": np.full((9, 3), 0.5)},
        {"p": np.full((9, 2), 1.5)},
        {"learn": np.ones(8, bool)},
        {"models": ("a",)},
        {"costs": Costs(prices=(1.0,))},
        {"alpha": 0.0},
        {"delta": 1.0},
    ],
)
def test_bad_arguments_are_usage_errors(change: dict[str, Any]) -> None:
    given: dict[str, Any] = {
        "p": np.full((9, 2), 0.5), "correct": np.ones((9, 2), bool), "learn": np.ones(9, bool),
        "models": ("a", "b"), "costs": COSTS,
    } | change  # fmt: skip
    with pytest.raises(UsageError):
        certify_cascade(given.pop("p"), given.pop("correct"), given.pop("learn"), **given)


def test_at_most_four_models_are_chosen_from() -> None:
    with pytest.raises(UsageError, match="at most 4 models"):
        certify_cascade(
            np.full((9, 5), 0.5), np.ones((9, 5), bool), np.ones(9, bool),
            models="abcde", costs=Costs(prices=(1.0,) * 5),
        )  # fmt: skip
