"""`python -m benchmarks.real.cascade`: certified cascades of two real models.

The pair is a vendor's small and large model; P(correct) is made of each answer's own evidence
(stated confidence, token probability, a judge's reading of the hedging, who answered), fitted on
questions that the pair does not share. The shared ones are divided by question, over and over: two
thirds certify, a third tests. The cheap model is free, a call of the dear one costs 1. With
`pairs`, the same for the small and the large model of every vendor that has two in the file.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import markdown
from ct_guard.promises import Costs
from ct_guard.risk import LEARN_SHARE, certify, certify_cascade

from .data import Data, folder_or_reason, load, take
from .figures import Floats, probabilities

FILE = "mmlu_pro_conf_stem.jsonl.gz"
PAIR = ("gpt-4o-mini-2024-07-18", "gpt-4.1")
EVIDENCE = ("stated", "model", "column:mean_token_prob", "column:linguistic")
ALPHAS, DELTA = (0.1, 0.15, 0.2, 0.25), 0.1
PAIRS = (
    PAIR,
    ("gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06"),
    ("gpt-4o-2024-08-06", "gpt-4.1"),
    ("Qwen3-1.7B", "Qwen3-8B"),
    ("Qwen2.5-7B-Instruct", "Qwen2.5-32B-Instruct"),
    ("Meta-Llama-3.1-8B-Instruct-Turbo", "Meta-Llama-3.1-70B-Instruct-Turbo"),
    ("Mistral-Nemo-Instruct-2407", "Mistral-Small-24B-Instruct-2501"),
    ("Phi-3-mini-128k-instruct", "Phi-4-mini-instruct"),
)
ABSTAIN = (10.0, 5.0, 2.0)
"""What a question without an answer costs, in calls of the dear model; the first is the default of
`ct-guard certify --cascade`."""
DEAR, CHEAP, CASCADE = "the dear model alone", "the cheap model alone", "cascade, abstaining {:g}"
RESPLITS, PAIR_RESPLITS = 200, 50


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


def shared_by(data: Data, pair: tuple[str, str], evidence: Sequence[str]) -> Shared:
    """P(correct) of both models' answers, by evidence that is fitted on other questions."""
    questions, models = data.answers.question, data.models
    own = [questions[models == model] for model in pair]
    both = np.intersect1d(own[0], own[1])
    inside = np.isin(questions, both)
    train = take(data, np.flatnonzero(~inside))
    rows = []
    for model in pair:
        at = np.flatnonzero(inside & (models == model))
        rows.append(at[np.unique(questions[at], return_index=True)[1]])
    p = [probabilities(train, take(data, at), evidence) for at in rows]
    return Shared(np.column_stack(p), np.column_stack([data.correct[at] for at in rows]))


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
                    f"{tried.errors:.3f}",
                    f"{tried.calls:.2f}",
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


def vendors(data: Data) -> str:
    rows = []
    for cheap, dear in PAIRS:
        shared = shared_by(data, (cheap, dear), EVIDENCE)
        for alpha in ALPHAS:
            found = resplit(shared, alpha, PAIR_RESPLITS)
            alone = found[DEAR]
            if not alone.certified:
                continue
            cells = [
                f"{found[name].coverage:.2f}, {found[name].calls:.2f}"
                for name in map(CASCADE.format, ABSTAIN)
            ]
            rows.append([f"{cheap}, {dear}", f"{alpha:g}", f"{alone.coverage:.2f}, 1.00", *cells])
    return markdown(["models", "alpha", DEAR, *map(CASCADE.format, ABSTAIN)], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["pair", "pairs"])
    given = parser.parse_args()
    folder = folder_or_reason()
    if isinstance(folder, str):
        print(f"skipped: {folder}")
        return
    data = load(folder / FILE)
    print(the_pair(data) if given.part == "pair" else vendors(data))


if __name__ == "__main__":
    main()
