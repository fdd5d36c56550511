"""How much of the ECE of a test part is chance? A few hundred questions, whose answers are right
and wrong together, show an ECE however well P(correct) is calibrated.

All test rows of the five splits together are taken as the population, and P is calibrated on that
very population (beta calibration), so that nothing is wrong with it there. From it questions are
drawn with replacement: parts of as many as a test part has, on which it is judged as it is; and, of
four times as many, on which the calibrator is fitted anew, as it would be in practice.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit  # type: ignore[import-untyped]

from ct_guard.calibration import apply, fit
from ct_guard.metrics import adaptive_ece, ece

from .data import Data, splits, title_of
from .figures import Floats, probabilities

__all__ = ["Chance", "chance_of", "parts"]

PARTS, DRAWS = 5, 40
KIND = "beta"
HEAD = (
    "| file, evidence | questions in a part | ECE, mean over parts | equal mass | level alone"
    " | calibrated P on such parts: ECE | equal mass | level alone"
    " | its calibrator fitted on four such parts: ECE (middle 80% of means over five)"
    " | ECE, test parts pooled |\n" + "|---" * 10 + "|"
)  # fmt: skip


@dataclass(frozen=True)
class Chance:
    """Mean ECE of parts of a population for which P is right."""

    calibrated: float
    equal_mass: float
    level: float
    """Mean distance of P's mean from the part's share of right answers: an ECE with one bin."""
    learnt: Floats
    """With the calibrator fitted anew, means over five parts, shape (DRAWS,)."""


def parts(data: dict[str, Data], cases: Sequence[tuple[str, str, Sequence[str]]]) -> None:
    """A line for each of `cases`: (name, file, evidence)."""
    print("\n" + HEAD)
    for named, name, evidence in cases:
        some = [(probabilities(train, test, evidence), test) for train, test in splits(data[name])]
        print(f"| {title_of(name)}: {named} {_line(some)}", flush=True)


def _line(some: Sequence[tuple[Floats, Data]]) -> str:
    p = np.concatenate([one for one, _ in some])
    correct = np.concatenate([test.correct for _, test in some])
    question = np.concatenate([test.answers.question for _, test in some])
    chance = chance_of(p, correct, question)
    judged = [
        np.mean([figure(one, test.correct) for one, test in some])
        for figure in (ece, adaptive_ece, _level)
    ]
    low, high = np.quantile(chance.learnt, (0.1, 0.9))
    cells = [
        f"{len(np.unique(question)) // PARTS}",
        *(f"{one:.3f}" for one in judged),
        f"{chance.calibrated:.3f}",
        f"{chance.equal_mass:.3f}",
        f"{chance.level:.3f}",
        f"{chance.learnt.mean():.3f} ({low:.3f} to {high:.3f})",
        f"{ece(p, correct):.3f}",
    ]
    return f"| {' | '.join(cells)} |"


def chance_of(
    p: Floats, correct: NDArray[np.bool_], question: NDArray[np.int64], *, seed: int = 0
) -> Chance:
    """For n rows, of which a fifth of the questions is a part."""
    logits = logit(np.clip(p, 1e-9, 1 - 1e-9))
    right = apply(fit(KIND, logits, correct), logits)
    order = np.argsort(question, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(question[order])) + 1)
    random = np.random.default_rng(seed)
    size = len(rows) // PARTS

    def drawn(count: int) -> NDArray[np.intp]:
        return np.concatenate([rows[at] for at in random.integers(len(rows), size=count)])

    known, learnt = [], []
    for _ in range(DRAWS):
        of = drawn(size * (PARTS - 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            anew = apply(fit(KIND, logits[of], correct[of]), logits)
        some = [drawn(size) for _ in range(PARTS)]
        known += [[each(right[at], correct[at]) for each in (ece, adaptive_ece, _level)]
                  for at in some]  # fmt: skip
        learnt.append(np.mean([ece(anew[at], correct[at]) for at in some]))
    calibrated, mass, level = np.mean(known, axis=0).tolist()
    return Chance(calibrated, mass, level, np.array(learnt))


def _level(p: Floats, correct: NDArray[np.bool_]) -> float:
    return abs(float(p.mean() - correct.mean()))
