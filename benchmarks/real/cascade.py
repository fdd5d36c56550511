"""`python -m benchmarks.real.cascade`: certified cascades of two real models.

The pair is a vendor's small and large model; P(correct) is made of each answer's own evidence
(stated confidence, token probability, a judge's reading of the hedging, who answered), fitted on
questions that the pair does not share. The shared ones are divided by question, over and over: two
thirds certify, a third tests. The cheap model is free, a call of the dear one costs 1. With
`pairs`, the same for every two models of the file whose shares of right answers are five points
apart, at the error rate that always asking the dear one is certified for.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta  # type: ignore[import-untyped]

from benchmarks.tables import markdown
from ct_guard.promises import Costs
from ct_guard.risk import LEARN_SHARE, certify, certify_cascade

from .data import Data, folder_or_exit, load, take
from .figures import Floats, probabilities, quick_probabilities

FILE = "mmlu_pro_conf_stem.jsonl.gz"
PAIR = ("gpt-4o-mini-2024-07-18", "gpt-4.1")
EVIDENCE = ("stated", "model", "column:mean_token_prob", "column:linguistic")
ALPHAS, DELTA = (0.1, 0.15, 0.2, 0.25), 0.1
LEAST_GAP = 0.05
GAPS = ((0.05, 0.1), (0.1, 0.15), (0.15, 0.25), (0.25, 1.0))
"""In shares of right answers on the questions that both have answered."""
ABSTAIN = (10.0, 2.0, 1.5)
"""What a question without an answer costs, in calls of the dear model; the first is the default of
`ct-guard certify --cascade`."""
DEAR, CHEAP, CASCADE = "the dear model alone", "the cheap model alone", "cascade, abstaining {:g}"
RESPLITS, PAIR_RESPLITS = 200, 20


@dataclass(frozen=True)
class Shared:
    """Answers of both models to the questions that both have answered; shapes (n, 2)."""

    p: Floats
    correct: NDArray[np.bool_]


@dataclass(frozen=True)
class Tried:
    """What one way of deciding did on the test questions of all splits, on average; NaN where it
    was never certified."""

    certified: int
    coverage: float
    """Of all splits, 0 where nothing was certified."""
    calls: float
    """Of the dear model, a question, in splits with a certificate."""
    errors: float
    """Among the answered, in splits with a certificate."""
    above: int
    """Splits whose test error is above alpha, with all the noise of few test questions."""


def shared_by(
    data: Data, pair: tuple[str, str], evidence: Sequence[str], *, quick: bool = False
) -> Shared:
    """P(correct) of both models' answers, by evidence that is fitted on other questions; `quick`:
    by a logistic layer, without trees and without a choice among calibrators."""
    questions, models = data.answers.question, data.models
    own = [questions[models == model] for model in pair]
    both = np.intersect1d(own[0], own[1])
    inside = np.isin(questions, both)
    train = take(data, np.flatnonzero(~inside))
    rows = []
    for model in pair:
        at = np.flatnonzero(inside & (models == model))
        rows.append(at[np.unique(questions[at], return_index=True)[1]])
    fitted = quick_probabilities if quick else probabilities
    both_rows = take(data, np.concatenate(rows))
    p = fitted(train, both_rows, evidence).reshape(2, -1).T
    return Shared(p, np.column_stack([data.correct[at] for at in rows]))


def resplit(shared: Shared, alpha: float, splits: int) -> dict[str, Tried]:
    """Each way of deciding on the same splits."""
    ways = (DEAR, CHEAP, *map(CASCADE.format, ABSTAIN))
    found: dict[str, list[tuple[float, float, float] | None]] = {name: [] for name in ways}
    n = len(shared.p)
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(n)
        one, two = order[: 2 * n // 3], order[2 * n // 3 :]
        p, correct = shared.p[one], shared.correct[one]
        for name, model in ((DEAR, 1), (CHEAP, 0)):
            threshold = certify(p[:, model], correct[:, model], alpha=alpha, delta=DELTA).threshold
            stages = None if threshold is None else [(model, threshold)]
            found[name].append(_tested(shared, two, stages))
        learn = np.arange(len(one)) < round(len(one) * LEARN_SHARE)
        for abstain in ABSTAIN:
            cascade = certify_cascade(
                p, correct, learn, models=PAIR, alpha=alpha, delta=DELTA,
                costs=Costs(abstain=abstain, prices=(0.0, 1.0)),
            )  # fmt: skip
            chosen = [(PAIR.index(stage.model), stage.threshold) for stage in cascade.stages]
            found[CASCADE.format(abstain)].append(_tested(shared, two, chosen or None))
    return {name: _mean(tests, alpha) for name, tests in found.items()}


def _tested(
    shared: Shared, rows: NDArray[np.intp], stages: list[tuple[int, float]] | None
) -> tuple[float, float, float] | None:
    """Share answered, errors among them, calls of the dear model a question."""
    if stages is None:
        return None
    left, calls, wrong, answered = np.ones(len(rows), dtype=np.bool_), 0, 0, 0
    for model, threshold in stages:
        calls += int(left.sum()) if model == 1 else 0
        passed = left & (shared.p[rows, model] >= threshold)
        answered += int(passed.sum())
        wrong += int((~shared.correct[rows[passed], model]).sum())
        left &= ~passed
    return answered / len(rows), wrong / answered if answered else np.nan, calls / len(rows)


def _mean(tests: list[tuple[float, float, float] | None], alpha: float) -> Tried:
    made = np.array([one for one in tests if one is not None]).reshape(-1, 3)
    if not len(made):
        return Tried(0, 0.0, np.nan, np.nan, 0)
    return Tried(
        certified=len(made),
        coverage=float(made[:, 0].sum() / len(tests)),
        calls=float(made[:, 2].mean()),
        errors=float(np.nanmean(made[:, 1])),
        above=int((made[:, 1] > alpha).sum()),
    )


def the_pair(data: Data) -> str:
    shared = shared_by(data, PAIR, EVIDENCE)
    rows = []
    for alpha in ALPHAS:
        for name, tried in resplit(shared, alpha, RESPLITS).items():
            rows.append(
                [
                    f"{alpha:g}",
                    name,
                    f"{tried.certified} of {RESPLITS}",
                    f"{tried.coverage:.3f}",
                    f"{tried.errors:.3f}" if tried.certified else "–",
                    f"{tried.calls:.2f}" if tried.certified else "–",
                    f"{tried.above}",
                ]
            )
    right = ", ".join(
        f"{name} {share:.1%}" for name, share in zip(PAIR, shared.correct.mean(axis=0), strict=True)
    )
    head = f"{len(shared.p)} shared questions; right: {right}.\n\n"
    return head + markdown(
        ["alpha", "who answers", "certified", "answered", "wrong of these",
         "calls of the dear model", "tests above alpha"],
        rows,
    )  # fmt: skip


def pairs_of(data: Data) -> list[tuple[str, str]]:
    """(cheap, dear): every two models whose shares of right answers are `LEAST_GAP` apart."""
    models = data.models
    share = {name: float(data.correct[models == name].mean()) for name in np.unique(models)}
    ordered = sorted(share, key=lambda name: share[name])
    return [
        (cheap, dear)
        for cheap, dear in combinations(ordered, 2)
        if share[dear] - share[cheap] >= LEAST_GAP
    ]


def always(data: Data, pair: tuple[str, str]) -> float:
    """The error rate that always asking the dear model is certified for, in whole percents, on the
    questions that the cheap one has not answered: fixed apart from all that is tested."""
    questions, models = data.answers.question, data.models
    apart = (models == pair[1]) & ~np.isin(questions, questions[models == pair[0]])
    wrong, n = int((~data.correct[apart]).sum()), int(apart.sum())
    return math.ceil(100 * float(beta.ppf(1 - DELTA, wrong + 1, n - wrong))) / 100


def bound(shared: Shared) -> float:
    """The most calls that could be saved by anybody who knew the labels: thresholds chosen on these
    very questions, at no more errors than the dear model's among at least 95% of them."""
    p, correct = shared.p, shared.correct
    allowed, best = 1 - correct[:, 1].mean(), 0.0
    for first in np.quantile(p[:, 0], np.linspace(0, 1, 41)):
        cheap = p[:, 0] >= first
        for second in np.append(0.0, np.quantile(p[:, 1], np.linspace(0, 0.3, 25))):
            dear = ~cheap & (p[:, 1] >= second)
            answered = int(cheap.sum() + dear.sum())
            wrong = int((~correct[cheap, 0]).sum() + (~correct[dear, 1]).sum())
            if answered >= 0.95 * len(p) and wrong <= allowed * answered:
                best = max(best, float(cheap.mean()))
    return best


class Pair(NamedTuple):
    """How a pair did."""

    gap: float
    bound: float
    tried: dict[str, Tried]


def every_pair(data: Data) -> str:
    found = []
    for cheap, dear in pairs_of(data):
        shared = shared_by(data, (cheap, dear), EVIDENCE, quick=True)
        right = shared.correct.mean(axis=0)
        tried = resplit(shared, always(data, (cheap, dear)), PAIR_RESPLITS)
        found.append(Pair(float(right[1] - right[0]), bound(shared), tried))
        print(cheap, dear, *(f"{one.calls:.2f}" for one in tried.values()), flush=True)
    rows = []
    for low, high in GAPS:
        some = [pair for pair in found if low <= pair.gap < high]
        for name in (DEAR, *map(CASCADE.format, ABSTAIN)):
            made = [pair.tried[name] for pair in some]
            saved = 1 - np.array([one.calls for one in made if one.certified])
            quarters = " to ".join(f"{one:.0%}" for one in np.quantile(saved, [0.25, 0.75]))
            tests = sum(one.certified for one in made)
            rows.append(
                [
                    f"{100 * low:.0f} to {100 * high:.0f} points ({len(some)})",
                    name,
                    f"{tests / (PAIR_RESPLITS * len(some)):.0%}",
                    f"{np.median([one.coverage for one in made]):.2f}",
                    f"{np.nanmedian([one.errors for one in made]):.3f}",
                    f"{np.median(saved):.0%} ({quarters})",
                    f"{np.mean(saved >= 0.4):.0%}",
                    f"{np.median([pair.bound for pair in some]):.0%}",
                ]
            )
    return markdown(
        ["the dear model is better by (pairs)", "who answers", "certified", "answered",
         "wrong of these", "calls saved: median (middle half)", "pairs that save 40%",
         "who knew the labels could save"],
        rows,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["pair", "pairs"])
    given = parser.parse_args()
    folder = folder_or_exit()
    data = load(folder / FILE)
    print(the_pair(data) if given.part == "pair" else every_pair(data))


if __name__ == "__main__":
    main()
