"""A cascade of models with one promise about the errors among all that it answers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, betainc  # type: ignore[import-untyped]

from ct_guard.errors import UsageError
from ct_guard.promises import CascadeCertificate, Costs, Stage

from .belief import errors_believed
from .certified import least_answered
from .rows import Floats, Ints, check_columns

__all__ = ["LEARN_SHARE", "MOST_MODELS", "certify_cascade"]

LEARN_SHARE = 1 / 5
"""Of the rows, for learning what is tested on the others. (Simulated with 1,000 rows: a fifth
covers 0.62, a third 0.61, a half 0.59.)"""
MOST_MODELS = 4
_CANDIDATES = (0, 60, 25, 12, 7)
"""Thresholds of each stage, by the number of stages."""

Order = tuple[int, ...]
"""Models by number, as they are asked."""


@dataclass(frozen=True)
class _Plan:
    """The configurations to choose from: every order of every choice of models, with every
    combination of its candidate thresholds. They are numbered through all orders."""

    orders: tuple[Order, ...]
    grids: tuple[tuple[Floats, ...], ...]
    """By order, then by stage: rising thresholds."""

    def shape(self, order: int) -> tuple[int, ...]:
        return tuple(map(len, self.grids[order]))

    def stages(self, number: int) -> list[tuple[int, float]]:
        """Model and threshold of each stage of a configuration."""
        for order, models in enumerate(self.orders):
            shape = self.shape(order)
            if number < math.prod(shape):
                at = np.unravel_index(number, shape)
                return [
                    (model, float(grid[int(place)]))
                    for model, grid, place in zip(models, self.grids[order], at, strict=True)
                ]
            number -= math.prod(shape)
        raise IndexError(number)


@dataclass(frozen=True)
class _Counts:
    """What every configuration does on some rows, arrays of length C."""

    n: int
    answered: Floats
    errors: Floats
    calls: Floats
    """Of each model, shape (C, K)."""

    def cost(self, costs: Costs) -> Floats:
        """Of a question, on average."""
        lost = costs.error * self.errors + costs.abstain * (self.n - self.answered)
        return np.asarray((self.calls @ np.array(costs.prices) + lost) / self.n)

    def p_values(self, alpha: float, at: Ints | None = None) -> Floats:
        """Of "more than alpha of the answered are wrong", of all configurations or those `at` these
        numbers: BinomCDF(errors; answered, alpha), as a beta integral, which also takes expected
        errors; 1 where no answer is right."""
        answered, errors = self.answered, self.errors
        if at is not None:
            answered, errors = answered[at], errors[at]
        right = answered - errors
        tail = betainc(np.maximum(right, 0.5), errors + 1, 1 - alpha)
        return np.where(right > 0, tail, 1.0)


def certify_cascade(
    p: ArrayLike,
    correct: ArrayLike,
    learn: ArrayLike,
    *,
    models: Sequence[str],
    costs: Costs,
    alpha: float = 0.10,
    delta: float = 0.10,
    split_hash: str = "",
) -> CascadeCertificate:
    """The cheapest cascade of which "at most alpha of what it answers is wrong" is certain at level
    1 - delta: which models are asked, in which order, and the threshold of each stage.

    A cascade asks its first model; where P(correct) is below the stage's threshold it asks the
    next one, and after the last it abstains.

    Method: Learn-then-Test with a fixed sequence that is learnt apart (Pareto testing). On the rows
    marked by `learn`, every order of every choice of models is tried with every combination of
    candidate thresholds, as far as is believed (`belief`) of their answers; those that no other
    beats in both the p-value of "more than alpha wrong" and the cost are put in the order of their
    p-values. The *other* rows then test them in this order, each at the full level delta by
    BinomCDF(errors; answered, alpha), up to the first failure. Given what was learnt, the sequence
    is fixed, and given how many rows a configuration answers its errors are binomial: the first
    false one is rejected with probability at most delta, whatever the scores are worth and however
    the models' errors go together.

    Args:
        p: P(correct) of each model's answer, shape (n, K), in [0, 1]; one row a question.
        correct: whether it is, shape (n, K).
        learn: boolean, shape (n,): rows to learn from, chosen without a look at the labels.
        models: K names.
        costs: what is minimised; K prices.
        alpha: error rate allowed among the answered, in (0, 1).
        delta: allowed probability that the claim is false, in (0, 1).
        split_hash: names the rows, kept in the certificate.

    Returns:
        The certificate. Where nothing passes it has no `stages`, and `reason` says what would help.

    Raises:
        UsageError: shapes that differ, more than 4 models, values outside their range.

    Sources: Angelopoulos, Bates, Candes, Jordan & Lei 2021 ("Learn then Test"); for the learnt
    sequence, Laufer-Goldshtein, Fisch, Barzilay & Jaakkola 2023 ("Pareto testing").
    """
    scores, labels = check_columns(p, correct, len(models))
    chosen = np.asarray(learn, dtype=np.bool_)
    if chosen.shape != scores.shape[:1]:
        raise UsageError(f"learn marks {chosen.shape} rows of {scores.shape[0]}")
    if len(models) > MOST_MODELS:
        raise UsageError(f"a cascade is chosen from at most {MOST_MODELS} models: leave some out")
    if len(costs.prices) != len(models):
        raise UsageError(f"{len(models)} models need a price each, not {len(costs.prices)}")
    least = least_answered(alpha, delta)
    n = int((~chosen).sum())
    promise = CascadeCertificate(
        alpha=alpha, delta=delta, models=tuple(models), costs=costs,
        learnt=int(chosen.sum()), n=n, split_hash=split_hash,
    )  # fmt: skip
    if n < least or not promise.learnt:
        return promise.model_copy(update={"reason": _too_few(promise, least)})

    plan = _plan(scores[chosen])
    learnt = _count(
        scores[chosen], plan, lambda order: errors_believed(scores[chosen], labels[chosen], order)
    )
    sequence = _surest_to_cheapest(learnt.p_values(alpha), learnt.cost(costs))
    wrong = (~labels[~chosen]).astype(np.float64)
    tested = _count(scores[~chosen], plan, lambda order: [wrong[:, model] for model in order])
    passes = tested.p_values(alpha, sequence) <= delta
    passed = int(np.argmin(np.append(passes, False)))  # up to the first failure
    found = int(sequence[max(passed - 1, 0)])
    stages = plan.stages(found)
    known = promise.model_copy(
        update={
            "stages": tuple(Stage(model=models[one], threshold=least) for one, least in stages),
            "answered": int(tested.answered[found]),
            "errors": int(tested.errors[found]),
            "asked": tuple(int(tested.calls[found, one]) for one, _ in stages),
        }
    )
    return known if passed else promise.model_copy(update={"reason": _why_none(known)})


def _plan(p: Floats) -> _Plan:
    """Candidates are 0, which answers everything, and quantiles of what was seen of a model."""
    models = p.shape[1]
    orders = [
        order for length in range(1, models + 1) for order in permutations(range(models), length)
    ]
    grids = []
    for order in orders:
        levels = np.linspace(0, 1, _CANDIDATES[len(order)])
        seen = [np.quantile(p[:, model], levels, method="lower") for model in order]
        grids.append(tuple(np.unique(np.append(0.0, values)) for values in seen))
    return _Plan(tuple(orders), tuple(grids))


def _surest_to_cheapest(p_values: Floats, cost: Floats) -> Ints:
    """The configurations that no other beats in both, in the order of their p-values."""
    by_risk = np.lexsort((cost, p_values))
    cheapest = np.minimum.accumulate(cost[by_risk])
    return np.asarray(by_risk[np.append(True, cheapest[1:] < cheapest[:-1])])


def _count(p: Floats, plan: _Plan, wrong: Callable[[Order], Sequence[Floats]]) -> _Counts:
    """All combinations of thresholds at once: rows are counted in a table with an axis a stage, by
    how many thresholds they reach, and sums along its axes say what each combination answers.
    `wrong` says how far the answers of each stage of an order are, shapes (n,)."""
    answered, errors, calls = [], [], []
    for number, order in enumerate(plan.orders):
        shape = plan.shape(number)
        wider = tuple(size + 1 for size in shape)
        cells = np.ravel_multi_index(
            tuple(
                np.searchsorted(grid, p[:, model], side="right")
                for grid, model in zip(plan.grids[number], order, strict=True)
            ),
            wider,
        )
        rows = _table(cells, np.ones(len(p)), wider)
        amiss = [_table(cells, one, wider) for one in wrong(order)]
        asked = np.zeros((math.prod(shape), p.shape[1]))
        for stage, model in enumerate(order):
            asked[:, model] = np.broadcast_to(_arriving(rows, stage), shape).ravel()
        answered.append(sum(_answered(rows, stage) for stage in range(len(order))))
        errors.append(sum(_answered(one, stage) for stage, one in enumerate(amiss)))
        calls.append(asked)
    return _Counts(
        n=len(p),
        answered=np.concatenate([np.ravel(one) for one in answered]),
        errors=np.concatenate([np.ravel(one) for one in errors]),
        calls=np.concatenate(calls),
    )


def _table(cells: Ints, weights: Floats, shape: tuple[int, ...]) -> Floats:
    counts = np.bincount(cells, weights, minlength=math.prod(shape))
    return counts.astype(np.float64).reshape(shape)


def _arriving(table: Floats, stage: int) -> Floats:
    """Rows below the thresholds of all stages before; axes that play no part have length 1."""
    for axis in range(table.ndim):
        if axis < stage:
            table = np.cumsum(table, axis=axis).take(range(table.shape[axis] - 1), axis=axis)
        else:
            table = table.sum(axis=axis, keepdims=True)
    return table


def _answered(table: Floats, stage: int) -> Floats:
    """Rows that get to a stage and reach its threshold: those that get there, less those that get
    to the next one."""
    if stage + 1 < table.ndim:
        return _arriving(table, stage) - _arriving(table, stage + 1)
    last = np.cumsum(table, axis=stage)
    below = last.take(range(table.shape[stage] - 1), axis=stage)
    for axis in range(stage):
        below = np.cumsum(below, axis=axis).take(range(table.shape[axis] - 1), axis=axis)
    return _arriving(table, stage) - below


def _too_few(promise: CascadeCertificate, least: int) -> str:
    return (
        f"{promise.n} rows, beside {promise.learnt} to learn from, cannot certify"
        f" alpha={promise.alpha:g} at delta={promise.delta:g}: even without an error {least}"
        " answered rows are needed, and some to learn from; grade more rows or raise alpha"
    )


def _why_none(first: CascadeCertificate) -> str:
    m, k = first.answered, first.errors
    passing = bdtr(np.arange(m + 1), m, first.alpha) <= first.delta
    allowed = int(np.count_nonzero(passing)) - 1
    limit = f"allows {allowed}" if allowed >= 0 else "allows none of so few"
    stages = ", then ".join(f"{one.model} at P >= {one.threshold:.4f}" for one in first.stages)
    return (
        f"the surest cascade ({stages}) has {k} errors among {m} answered of {first.n} rows, and"
        f" alpha={first.alpha:g} at delta={first.delta:g} {limit}; grade more rows, raise alpha, or"
        " improve the ranking"
    )
