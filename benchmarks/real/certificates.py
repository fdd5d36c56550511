"""Certified thresholds on real answers: how often is what they promise broken?

The promise is about the risk of the population that the certification rows are drawn from. A test
half tells of it with the noise of its few rows, and is worse where the other half was lucky: both
come from one small pool. Therefore the pool is also taken as the population itself: questions are
drawn from it anew, and of each threshold the risk is known.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ct_guard.calibration.folds import folds_by_question
from ct_guard.risk import certify

from .data import Data, take
from .figures import Floats, probabilities

__all__ = ["certificates"]

DELTA, ALPHAS, RESPLITS, DRAWS = 0.1, (0.05, 0.1), 50, 500


def certificates(data: dict[str, Data], evidence: Sequence[str]) -> None:
    """One answer a question. Fitted on a third; the rest certifies and tests."""
    print(
        "\n| file | alpha | draws with a threshold | their risk above alpha, share of all draws"
        " | delta | mean coverage | halves: certified | test half above alpha |\n"
        + "|---" * 8
        + "|"
    )
    for name, whole in data.items():
        others, third = next(folds_by_question(whole.correct, whole.answers.question, folds=3))
        train, rest = take(whole, third), take(whole, others)
        p = probabilities(train, rest, evidence)
        for alpha in ALPHAS:
            drawn = "{} of {} | {:.3f} | {} | {}".format(*_drawn(p, rest, alpha))
            print(f"| {name} | {alpha} | {drawn} | {_halves(p, rest, alpha)} |", flush=True)


def _drawn(p: Floats, rest: Data, alpha: float) -> tuple[int, int, float, float, str]:
    """(draws with a threshold, draws, share of them whose risk is above alpha, delta, coverage).
    Every draw has half as many questions as there are, with replacement."""
    question = np.unique(rest.answers.question, return_inverse=True)[1]
    size = np.bincount(question)
    order, start = np.argsort(question, kind="stable"), np.cumsum(size) - size
    weight = 1.0 / size[question]
    random = np.random.default_rng(0)
    found, broken, coverage = 0, 0, []
    for _ in range(DRAWS):
        asked = random.integers(len(size), size=len(size) // 2)
        rows = order[start[asked] + random.integers(size[asked])]
        threshold = certify(p[rows], rest.correct[rows], alpha=alpha, delta=DELTA).threshold
        if threshold is None:
            continue
        passed = weight * (p >= threshold)
        found += 1
        coverage.append(passed.sum() / len(size))
        broken += bool((passed * ~rest.correct).sum() > alpha * passed.sum())
    return found, DRAWS, broken / DRAWS, DELTA, _mean(coverage)


def _halves(p: Floats, rest: Data, alpha: float) -> str:
    found, above = 0, 0
    for seed in range(RESPLITS):
        one, two = _halved(rest.answers.question, seed)
        threshold = certify(p[one], rest.correct[one], alpha=alpha, delta=DELTA).threshold
        if threshold is None:
            continue
        found += 1
        answered = p[two] >= threshold
        above += bool(answered.any() and (~rest.correct[two][answered]).mean() > alpha)
    return f"{found} of {RESPLITS} | {above}"


def _halved(question: NDArray[np.int64], seed: int) -> list[NDArray[np.intp]]:
    """Two halves of the questions, an answer to each."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(question))
    first = order[np.unique(question[order], return_index=True)[1]]
    return np.array_split(random.permutation(first), 2)


def _mean(shares: list[float]) -> str:
    return f"{np.mean(shares):.2f}" if shares else "-"
