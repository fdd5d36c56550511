"""Is anything lost, doubled or different when a run is killed again and again?

    python -m benchmarks.survival [--rows 20000] [--kills 20] [--seed 0]

A run over so many rows, with a stand-in for a model that takes a millisecond a row, is ended by
SIGKILL at a random moment of its life, resumed, and killed again, so many times; then it may end.
Its output is compared byte by byte with that of a run that nobody disturbed, which is timed: the
lives of the others add up to about as much, so that the kills fall everywhere.
"""

import hashlib
import multiprocessing
import random
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path

import click

from ct_guard.workflows.engines import Local
from ct_guard.workflows.runs import Reading, score_file
from ct_guard.workflows.runs.journal import journal_path, results_in

from .stand_in import guard, write_rows
from .tables import between_markers

RESULTS = Path(__file__).with_name("RESULTS.md")
FORK = multiprocessing.get_context("fork")
"""Children begin at once, so that kills hit work and not the start of Python."""


@dataclass(frozen=True)
class Survival:
    kills: int
    stored: tuple[int, ...]
    """Results in the journal after each kill."""
    same: bool
    """Whether the output is the undisturbed run's, byte by byte."""
    left: tuple[str, ...]
    """Files beside input and output, in the end."""


def start(source: Path, output: Path, asleep: float) -> ForkProcess:
    process = FORK.Process(target=run, args=(source, output, asleep))
    process.start()
    return process


def finish(source: Path, output: Path, asleep: float) -> None:
    process = start(source, output, asleep)
    process.join()
    if process.exitcode:
        raise RuntimeError(f"the run to {output.name} failed")


def run(source: Path, output: Path, asleep: float) -> None:
    made, _ = guard(asleep=asleep)
    finished = output.exists() and not journal_path(output).exists()
    score_file(Local(made), Reading.of(str(source)), output, resume=True, overwrite=finished)


def survive(
    folder: Path,
    *,
    rows: int,
    kills: int,
    asleep: float,
    longest: float | None = None,
    seed: int = 0,
) -> Survival:
    """Kill a run `kills` times, within `longest` seconds of its start each time; None: twice its
    share of what an undisturbed run takes."""
    rng = random.Random(seed)
    source, output = write_rows(folder / "rows.jsonl", rows), folder / "scored.jsonl"
    whole = folder / "whole.jsonl"
    begun = time.monotonic()
    finish(source, whole, asleep)
    longest = 2 * (time.monotonic() - begun) / kills if longest is None else longest
    stored: list[int] = []
    for _ in range(kills):
        process = start(source, output, asleep)
        time.sleep(rng.uniform(0.0, longest))
        process.kill()
        process.join()
        stored.append(results_in(journal_path(output)))
    finish(source, output, 0.0)
    left = {path.name for path in folder.iterdir()} - {source.name, output.name, whole.name}
    digests = {hashlib.sha256(path.read_bytes()).digest() for path in (output, whole)}
    return Survival(kills, tuple(stored), len(digests) == 1, tuple(sorted(left)))


@click.command(help=__doc__)
@click.option("--rows", default=20_000, show_default=True)
@click.option("--kills", default=20, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(rows: int, kills: int, seed: int, results: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        found = survive(Path(name), rows=rows, kills=kills, asleep=0.001, seed=seed)
    text = (
        f"## Killed and resumed\n\n`python -m benchmarks.survival --rows {rows} --kills {kills}`:"
        f" after the kills the journal held {', '.join(f'{n:,}' for n in found.stored)} rows. The"
        f" output is {'' if found.same else 'NOT '}that of an undisturbed run, byte by byte;"
        f" {', '.join(found.left) or 'nothing'} is left beside it."
    )
    between_markers(results, "survival", text)
    print(text)


if __name__ == "__main__":
    main()
