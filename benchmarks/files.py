"""What do files cost beside scoring? A million short rows through a stand-in for a model.

    python -m benchmarks.files [--rows 1000000] [--other-rows 100000]

A run reads, takes apart, decides, keeps a journal, and writes; everything but the estimator's
`score` is what is called "in and out" here, by the processor's clock of the whole process. The
journal is what `Journal.append` takes, waiting for the disk included. Every run is a process of its
own, so that its peak memory is its own. Other formats are run with fewer rows.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ct_guard.estimators import Estimator
from ct_guard.files import open_rows, open_writer
from ct_guard.workflows.engines import Local
from ct_guard.workflows.runs import Reading, score_file
from ct_guard.workflows.runs.journal import Journal

from .stand_in import guard, write_rows
from .tables import between_markers, markdown

RESULTS = Path(__file__).with_name("RESULTS.md")
OTHERS = (".jsonl.gz", ".jsonl.zst", ".csv", ".parquet")


class Clock:
    """Adds up what calls of a function take."""

    def __init__(self, owner: Any, name: str) -> None:
        self.seconds = self.cpu = 0.0
        inner: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            begun, cpu = time.perf_counter(), time.process_time()
            try:
                return inner(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - begun
                self.cpu += time.process_time() - cpu

        setattr(owner, name, timed)


def run(source: Path, output: Path) -> dict[str, float]:
    """In this process: seconds by the clock and of the processor, and MB at most."""
    made, _ = guard()
    scoring, journal = Clock(Estimator, "score"), Clock(Journal, "append")
    begun, cpu = time.perf_counter(), time.process_time()
    done = score_file(Local(made), Reading.of(str(source)), output, overwrite=True)
    total, total_cpu = time.perf_counter() - begun, time.process_time() - cpu
    return {
        "rows": done.rows,
        "seconds": total,
        "cpu": total_cpu,
        "in_and_out": total - scoring.seconds,
        "in_and_out_cpu": total_cpu - scoring.cpu,
        "journal": journal.seconds,
        "journal_cpu": journal.cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def apart(source: Path, output: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.files", "--one", str(source), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def converted(source: Path, suffix: str) -> Path:
    path = source.with_name(f"other{suffix}")
    with open_writer(path, {}, source=source) as writer:
        for row in open_rows(source):
            writer.write(row, {})
    return path


def line(name: str, found: dict[str, float]) -> list[str]:
    rows = found["rows"]
    return [
        name,
        f"{rows:,.0f}",
        f"{rows / found['seconds']:,.0f}",
        f"{rows / found['in_and_out_cpu']:,.0f}",
        f"{rows / found['in_and_out']:,.0f}",
        f"{found['journal_cpu'] / found['cpu']:.1%}",
        f"{found['journal'] / found['in_and_out']:.1%}",
        f"{found['peak_mb']:,.0f}",
    ]


@click.command(help=__doc__)
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--other-rows", default=100_000, show_default=True)
@click.option("--one", nargs=2, type=click.Path(path_type=Path), hidden=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(rows: int, other_rows: int, one: tuple[Path, Path] | None, results: Path) -> None:
    if one:
        print(json.dumps(run(*one)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = apart(write_rows(folder / "rows.jsonl", rows), folder / "scored.jsonl")
        table = [line(".jsonl", found)]
        fewer = write_rows(folder / "fewer.jsonl", other_rows)
        for suffix in OTHERS:
            packed = converted(fewer, suffix)
            table.append(line(suffix, apart(packed, folder / f"scored{suffix}")))
    text = markdown(
        [
            "in and out",
            "rows",
            "rows/s, all",
            "in and out: rows/s of processor",
            "by the clock",
            "journal, of all",
            "of in and out, by the clock",
            "peak MB",
        ],
        table,
    )
    between_markers(
        results,
        "files",
        f"## Files of short rows\n\n`python -m benchmarks.files --rows {rows}`: a stand-in for a"
        f" model; see the module for what is counted.\n\n{text}",
    )
    print(text)


if __name__ == "__main__":
    main()
