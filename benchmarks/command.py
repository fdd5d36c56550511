"""The command `score` over a real base, as a process: its memory, and what a kill loses.

    python -m benchmarks.command memory FILE [--rows 1000 --rows 5000] [-- -e smol --threads 1]
    python -m benchmarks.command kills FILE [--rows 300] [--kills 5] [-- -e smol --threads 1]

`memory`: the peak of the whole process over the first rows of FILE, libraries included, which is to
be the same however many rows there are. `kills`: SIGKILL at random moments of the scoring, which
begins with the journal, and resume each time; lost are the seconds between the journal's last line
and the kill, at most about 20; in the end the rows are those of a run that nobody disturbed,
and their logits differ by no more than rows in other company do.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import click

from ct_guard.workflows.runs.journal import journal_path, results_in

from .tables import markdown

SCORE = (sys.executable, "-m", "ct_guard", "score")


def first_rows(source: Path, count: int, folder: Path) -> Path:
    made = folder / f"{count}.jsonl"
    with source.open(encoding="utf-8") as lines:
        made.write_text("".join(islice(lines, count)), encoding="utf-8")
    return made


def start(
    rows: Path, output: Path, options: tuple[str, ...], *more: str
) -> subprocess.Popen[bytes]:
    with output.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [*SCORE, str(rows), "-o", str(output), *options, *more], stdout=log, stderr=log
        )


def peak_of(process: subprocess.Popen[bytes]) -> float:
    """GB, once it has ended. Raises RuntimeError where it failed."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the command ended with {process.returncode}")
    return used.ru_maxrss / 1e6


@click.group(help=__doc__)
def main() -> None: ...


@main.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("--rows", "counts", type=int, multiple=True, default=(1000, 5000))
@click.argument("options", nargs=-1)
def memory(source: Path, counts: tuple[int, ...], options: tuple[str, ...]) -> None:
    """Peak memory of the process by number of rows."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        for count in counts:
            rows = first_rows(source, count, Path(name))
            begun = time.monotonic()
            peak = peak_of(start(rows, Path(name) / f"{count}.scored.jsonl", options))
            found.append([f"{count:,}", f"{peak:.2f}", f"{time.monotonic() - begun:,.0f}"])
            print(found[-1], flush=True)
    print(markdown(["rows", "peak GB", "seconds"], found))


@main.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("--rows", default=300, show_default=True)
@click.option("--kills", "times", default=5, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.argument("options", nargs=-1)
def kills(source: Path, rows: int, times: int, seed: int, options: tuple[str, ...]) -> None:
    """Seconds of work that SIGKILL at random moments loses."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = first_rows(source, rows, folder)
        whole, output = folder / "whole.jsonl", folder / "scored.jsonl"
        process = start(asked, whole, options)
        begun = began(process, whole)
        peak_of(process)
        lasts = time.time() - begun
        lost = [
            killed(asked, output, options, rng.uniform(0.0, lasts / times * 1.5))
            for _ in range(times)
        ]
        if not output.exists() or journal_path(output).exists():
            peak_of(start(asked, output, options, "--resume"))
        differ = largest_difference(whole, output)
        left = sorted(path.name for path in folder.glob("*") if path.name.startswith("."))
    print(markdown(["killed after, s of scoring", "rows kept", "work lost, s"], lost))
    print(f"an undisturbed run's logits differ by {differ:.2g} at most; left: {left or 'nothing'}")


def largest_difference(whole: Path, output: Path) -> float:
    """Between the logits of two runs. Raises RuntimeError where rows are lost or doubled."""
    one, other = ([json.loads(line) for line in path.open()] for path in (whole, output))
    named = [
        [(row["question"], row["answer"], row["status"]) for row in rows] for rows in (one, other)
    ]
    if named[0] != named[1]:
        raise RuntimeError("the rows are not those of an undisturbed run")
    pairs = zip(one, other, strict=True)
    return max(
        abs(float(a["logit"]) - float(b["logit"])) for a, b in pairs if a["logit"] is not None
    )


def began(process: subprocess.Popen[bytes], output: Path) -> float:
    """When scoring begins: the base is loaded and tried before the journal is opened. Raises
    RuntimeError for a run that ends without."""
    before = touched(output)
    while process.poll() is None:
        if touched(output) != before:
            return time.time()
        time.sleep(0.01)
    raise RuntimeError("the run ended before it could be killed: ask for more rows")


def touched(output: Path) -> float:
    journal = journal_path(output)
    return journal.stat().st_mtime if journal.exists() else 0.0


def killed(rows: Path, output: Path, options: tuple[str, ...], after: float) -> list[str]:
    """One life of a run."""
    kept = results_in(journal_path(output))
    process = start(rows, output, options, "--resume")
    began(process, output)
    time.sleep(after)
    process.kill()
    process.wait()
    lost = time.time() - touched(output)
    row = [f"{after:.1f}", f"{results_in(journal_path(output)) - kept:,}", f"{lost:.1f}"]
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
