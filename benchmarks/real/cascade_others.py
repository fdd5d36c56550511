"""`python -m benchmarks.real.cascade_others`: cascades whose cheap stage asks further cheap models.

As `benchmarks.real.cascade pairs`, on the same pairs, divisions and error rates, but P(correct) of
the cheap model's answer also reads whether up to four other models agree with it. They are drawn
by question, without regard to grades, from models that are less often right than the dear one on
the questions that the pair does not share, which are fitted on and never tested. Every cheap model
that is asked costs a stated price, of which a call of the dear one is 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import markdown
from ct_guard.metrics import auroc
from ct_guard.promises import Costs
from ct_guard.risk import LEARN_SHARE, certify_cascade

from .cascade import ABSTAIN, DELTA, EVIDENCE, FILE, GAPS, PAIR_RESPLITS, Shared, always, pairs_of
from .cascade import shared_by as alone_by
from .data import Data, folder_or_exit, load, take
from .figures import Floats, quick_probabilities

OTHERS = 4
PRICES = (0.0, 0.1)
"""Of a cheap model's call."""
ALONE, ASKED = "its own evidence", "and whether others agree"
MODELS = ("cheap", "dear")


@dataclass(frozen=True)
class Stages:
    """Both models' P(correct) on the questions that both have answered."""

    shared: Shared
    asked: Floats
    """Cheap models that are asked for the first stage, shape (n,)."""


class Tried(NamedTuple):
    """Means over divisions; NaN where none was certified."""

    certified: float
    coverage: float
    errors: float
    cost: float
    """Of a question, in calls of the dear model, without what an abstention costs."""


def with_others(data: Data, pair: tuple[str, str], alone: Shared) -> Stages:
    """The cheap model's P(correct) by its own evidence and agreement; the dear one's as it is."""
    questions, models = data.answers.question, data.models
    both = np.intersect1d(*(questions[models == model] for model in pair))
    inside = np.isin(questions, both)
    some = take(data, drawn(data, pair, inside))
    within = np.isin(some.answers.question, both)
    judged = take(some, np.flatnonzero(within))
    p = quick_probabilities(take(some, np.flatnonzero(~within)), judged, (*EVIDENCE, "agreement"))
    mine = np.flatnonzero(judged.models == pair[0])
    own = mine[np.unique(judged.answers.question[mine], return_index=True)[1]]
    counts = np.bincount(judged.answers.question)[both].astype(np.float64)
    return Stages(Shared(np.column_stack([p[own], alone.p[:, 1]]), alone.correct), counts)


def drawn(data: Data, pair: tuple[str, str], inside: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Rows of the cheap model, and of at most `OTHERS` others a question."""
    questions, models = data.answers.question, data.models
    apart = {name: ~inside & (models == name) for name in np.unique(models[~inside])}
    share = {name: float(data.correct[rows].mean()) for name, rows in apart.items()}
    others = [name for name in share if name not in pair and share[name] < share[pair[1]]]
    rank = np.random.default_rng(0).random(len(models))
    rank[models == pair[0]] = -1.0
    kept = np.flatnonzero(np.isin(models, [pair[0], *others]))
    order = kept[np.lexsort((rank[kept], questions[kept]))]
    first = np.r_[True, questions[order][1:] != questions[order][:-1]]
    begin = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    has_own = rank[order[begin]] < 0
    place = np.arange(len(order)) - begin
    return np.sort(order[place < np.where(has_own, OTHERS + 1, OTHERS)])


def resplit(stages: Stages, alpha: float, price: float, abstain: float, splits: int) -> Tried:
    found = []
    shared, asked = stages.shared, stages.asked
    n = len(shared.p)
    prices = (price * float(asked.mean()), 1.0)
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(n)
        one, two = order[: 2 * n // 3], order[2 * n // 3 :]
        learn = np.arange(len(one)) < round(len(one) * LEARN_SHARE)
        cascade = certify_cascade(
            shared.p[one], shared.correct[one], learn, models=MODELS, alpha=alpha, delta=DELTA,
            costs=Costs(abstain=abstain, prices=prices),
        )  # fmt: skip
        chosen = [(MODELS.index(stage.model), stage.threshold) for stage in cascade.stages]
        found.append(
            _tested(shared, price * asked, two, chosen) if chosen else (0.0, *[np.nan] * 2)
        )
    made = np.array(found)
    known = ~np.isnan(made[:, 2])
    mean = np.nanmean(made[known], axis=0) if known.any() else np.full(3, np.nan)
    return Tried(float(known.mean()), float(made[:, 0].mean()), float(mean[1]), float(mean[2]))


def _tested(
    shared: Shared, price: Floats, rows: NDArray[np.intp], stages: Sequence[tuple[int, float]]
) -> tuple[float, float, float]:
    """Share answered, errors among them, what was paid a question."""
    left, paid, wrong, answered = np.ones(len(rows), np.bool_), 0.0, 0, 0
    for model, threshold in stages:
        paid += float((left * (price[rows] if model == 0 else 1.0)).sum())
        passed = left & (shared.p[rows, model] >= threshold)
        answered += int(passed.sum())
        wrong += int((~shared.correct[rows[passed], model]).sum())
        left &= ~passed
    return answered / len(rows), wrong / answered if answered else np.nan, paid / len(rows)


class Pair(NamedTuple):
    gap: float
    area: dict[str, float]
    tried: dict[tuple[str, float, float], Tried]


def measured(data: Data, pair: tuple[str, str]) -> Pair:
    alone = alone_by(data, pair, EVIDENCE, quick=True)
    alpha = always(data, pair)
    ways = {
        ALONE: Stages(alone, np.ones(len(alone.p))),
        ASKED: with_others(data, pair, alone),
    }
    right = alone.correct.mean(axis=0)
    area = {
        name: auroc(one.shared.p[:, 0], alone.correct[:, 0]) or np.nan for name, one in ways.items()
    }
    tried = {
        (name, price, abstain): resplit(stages, alpha, price, abstain, PAIR_RESPLITS)
        for name, stages in ways.items()
        for price in PRICES
        for abstain in ABSTAIN
    }
    return Pair(float(right[1] - right[0]), area, tried)


def table(found: Sequence[Pair]) -> str:
    rows = []
    for low, high in GAPS:
        some = [pair for pair in found if low <= pair.gap < high]
        for price in PRICES:
            for abstain in ABSTAIN:
                for name in (ALONE, ASKED):
                    made = [pair.tried[name, price, abstain] for pair in some]
                    saved = 1 - np.array([one.cost for one in made if one.certified])
                    quarters = " to ".join(f"{one:.0%}" for one in np.quantile(saved, [0.25, 0.75]))
                    rows.append(
                        [
                            f"{100 * low:.0f} to {100 * high:.0f} points ({len(some)})",
                            f"{price:g}",
                            f"{abstain:g}",
                            name,
                            f"{np.median([pair.area[name] for pair in some]):.3f}",
                            f"{np.mean([one.certified for one in made]):.0%}",
                            f"{np.median([one.coverage for one in made]):.2f}",
                            f"{np.nanmedian([one.errors for one in made]):.3f}",
                            f"{np.median(saved):.0%} ({quarters})",
                            f"{np.mean(saved >= 0.4):.0%}",
                        ]
                    )
    return markdown(
        ["the dear model is better by (pairs)", "price of a cheap call", "of an abstention",
         "the cheap stage reads", "its AUROC", "certified", "answered", "wrong of these",
         "saved: median (middle half)", "pairs that save 40%"],
        rows,
    )  # fmt: skip


def main() -> None:
    folder = folder_or_exit()
    data = load(folder / FILE)
    found = []
    for pair in pairs_of(data):
        found.append(measured(data, pair))
        print(*pair, *(f"{one:.3f}" for one in found[-1].area.values()), flush=True)
    print(table(found))


if __name__ == "__main__":
    main()
