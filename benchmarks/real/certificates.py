"""Certified thresholds on real answers: how often is what they promise broken?"""

from collections.abc import Sequence

import numpy as np

from ct_guard.calibration.folds import folds_by_question
from ct_guard.risk import certify

from .data import Data, take
from .figures import Floats, probabilities

__all__ = ["certificates"]

DELTA, ALPHAS, RESPLITS = 0.1, (0.05, 0.1), 50


def certificates(data: dict[str, Data], evidence: Sequence[str]) -> None:
    """One answer a question. Fitted on a third, certified and tested on halves of the rest."""
    print(
        "\n| file | alpha | certified | violations | delta | mean coverage |\n" + "|---" * 6 + "|"
    )
    for name, whole in data.items():
        others, third = next(folds_by_question(whole.correct, whole.answers.question, folds=3))
        train, rest = take(whole, third), take(whole, others)
        p = probabilities(train, rest, evidence)
        for alpha in ALPHAS:
            print(_certified(name, p, rest, alpha), flush=True)


def _certified(named: str, p: Floats, rest: Data, alpha: float) -> str:
    violated, found, coverage = 0, 0, []
    for seed in range(RESPLITS):
        order = np.random.default_rng(seed).permutation(len(p))
        first = order[np.unique(rest.answers.question[order], return_index=True)[1]]
        first = np.random.default_rng(seed).permutation(first)
        one, two = np.array_split(first, 2)
        threshold = certify(p[one], rest.correct[one], alpha=alpha, delta=DELTA).threshold
        if threshold is None:
            continue
        found += 1
        answered = p[two] >= threshold
        coverage.append(answered.mean())
        violated += bool(answered.any() and (~rest.correct[two][answered]).mean() > alpha)
    mean = f"{np.mean(coverage):.2f}" if coverage else "-"
    return f"| {named} | {alpha} | {found} of {RESPLITS} | {violated} | {DELTA} | {mean} |"
