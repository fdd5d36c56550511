"""Do concurrent callers gain from sharing forwards? Joined and one at a time by turns, in one run.

    python -m benchmarks.load [--base DIR] [--backend transformers] [--callers 20] [--rounds 7]

So many callers ask at the same moment, each a question of its own, of about `--words` words. A
round is a burst with `max_batch=1` and one with batches as large as they get, in alternating order;
what is reported is answers a second of both, their ratio in each round, and what a guard does here
by default (`Capabilities.batching_gains`). Then the same burst with a deadline that half of the
callers' answers fit into: how many are scored.

Without `--base`, the embedded model `mini` is asked; with it, the base model in that directory or
GGUF file, without tuning. The table is written into benchmarks/RESULTS.md.
"""

import asyncio
import random
import statistics
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ct_guard import Guard, QuestionAnswer, load_estimator
from ct_guard.estimators import Estimator, OutOfScopeWarning
from ct_guard.records import Assessment

from .tables import between_markers, markdown

RESULTS = Path(__file__).with_name("RESULTS.md")
TOGETHER = 256
FAR = 600.0
"""Seconds within which every burst ends."""


@dataclass(frozen=True)
class Burst:
    seconds: float
    scored: int


def questions(callers: int, words: int, rng: random.Random) -> list[QuestionAnswer]:
    """Questions that begin and end differently, so that nothing is read once for all."""
    rows = []
    for _ in range(callers):
        a, b = rng.randrange(1000), rng.randrange(1000)
        filler = " ".join(str(rng.randrange(100)) for _ in range(rng.randint(words // 2, words)))
        rows.append(QuestionAnswer(question=f"{filler}: what is {a} plus {b}?", answer=str(a + b)))
    return rows


def burst(guard: Guard, rows: Sequence[QuestionAnswer]) -> Burst:
    """Every row from a caller of its own, all at once."""

    async def all_at_once() -> list[Assessment]:
        return await asyncio.gather(*(guard.aassess(row) for row in rows))

    start = time.perf_counter()
    found = asyncio.run(all_at_once())
    seconds = time.perf_counter() - start
    guard.run(lambda: None)  # what is still being computed must not slow the next burst
    return Burst(seconds, sum(assessment.p is not None for assessment in found))


def bursts(
    estimator: Estimator, callers: int, words: int, rounds: int, deadline: float
) -> list[tuple[Burst, Burst]]:
    """Of every round: one at a time, and joined."""
    rng = random.Random(0)
    alone, joined = (
        Guard(estimator, "annotate", max_batch=most, deadline=deadline) for most in (1, TOGETHER)
    )
    made = []
    for number in range(rounds):
        rows = questions(callers, words, rng)
        if number % 2:
            second, first = burst(joined, rows), burst(alone, rows)
        else:
            first, second = burst(alone, rows), burst(joined, rows)
        made.append((first, second))
    return made


@click.command()
@click.option("--base", type=click.Path(exists=True, path_type=Path), default=None)
@click.option("--backend", default="transformers", show_default=True)
@click.option("--callers", default=20, show_default=True)
@click.option("--words", default=40, show_default=True)
@click.option("--rounds", default=7, show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(
    base: Path | None, backend: str, callers: int, words: int, rounds: int, results: Path
) -> None:
    warnings.simplefilter("ignore", OutOfScopeWarning)
    if base is None:
        estimator = load_estimator("mini", backend=backend)
    else:
        estimator = load_estimator("zero-shot", base=base, backend=backend)
    bursts(estimator, callers, words, 1, FAR)  # warms up
    pairs = bursts(estimator, callers, words, rounds, FAR)
    alone, joined = ([pair[at].seconds for pair in pairs] for at in (0, 1))
    ratios = [one / other for one, other in zip(alone, joined, strict=True)]
    deadline = statistics.median(alone) / 2
    hurried = bursts(estimator, callers, words, rounds, deadline)
    scored = [sum(pair[at].scored for pair in hurried) for at in (0, 1)]
    gains = estimator.batching_gains
    default = "joined" if gains else "scored one at a time"
    name = "mini" if base is None else base.name
    table = markdown(
        ["", "answers/s", f"scored of {callers * rounds} within {deadline:.2f} s"],
        [
            ["one at a time", f"{callers / statistics.median(alone):.1f}", str(scored[0])],
            ["joined", f"{callers / statistics.median(joined):.1f}", str(scored[1])],
        ],
    )
    text = f"""## {callers} callers at once: {name} ({backend})

`python -m benchmarks.load`: questions of about {words * 3 // 4} words, {rounds} rounds by turns.

{table}
Joined over one at a time: {statistics.median(ratios):.2f} (rounds: {min(ratios):.2f} to
{max(ratios):.2f}). By default, requests are {default} here."""
    between_markers(results, f"load {name} {backend}", text)
    print(text)


if __name__ == "__main__":
    main()
