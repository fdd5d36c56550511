"""Do two workers score twice as much as one, and does it matter when one is killed?

    python -m benchmarks.ray_workers [--rows 4000] [--milliseconds 5]

A stand-in for a model keeps a core busy for so long a row. The same file is scored by one worker
and by two, on a Ray cluster of this machine with two processors. Time runs from when the pool is
there to the finished output, the start of the workers included, and once more from when the first
rows are back, as a longer file would have it. A third run has two workers, of which one is killed
in the middle. All outputs are compared byte by byte with a local run's.
"""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from ct_guard.workflows.engines import Engine, Local
from ct_guard.workflows.engines.ray_pool import RayPool
from ct_guard.workflows.runs import Reading, score_file

from .stand_in import guard, write_rows
from .tables import between_markers, markdown

RESULTS = Path(__file__).with_name("RESULTS.md")
WORKER = "MapWorker"
"""What Ray calls the processes of a pool of Ray Data's."""


@dataclass(frozen=True)
class Took:
    seconds: float
    rate: float
    """Rows a second, from when the first rows are back."""


def timed(engine: Engine, source: Path, output: Path) -> Took:
    counts: list[int] = []
    times: list[float] = []

    def heard(rows: int) -> None:
        counts.append(rows)
        times.append(time.perf_counter())

    begun = time.perf_counter()
    score_file(engine, Reading.of(str(source)), output, on_rows=heard)
    ended = time.perf_counter()
    return Took(ended - begun, sum(counts[1:]) / (times[-1] - times[0]))


def kill_one_worker() -> int:
    """The number of the process of a worker that was killed; 0 where none was found."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            about = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if WORKER.encode() in about and os.getuid() == folder.stat().st_uid:
            os.kill(int(folder.name), signal.SIGKILL)
            return int(folder.name)
    return 0


@click.command(help=__doc__)
@click.option("--rows", default=4000, show_default=True)
@click.option("--milliseconds", default=5.0, show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(rows: int, milliseconds: float, results: Path) -> None:
    import ray

    make = partial(guard, at_work=milliseconds / 1000)
    ray.init(num_cpus=2, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_rows(folder / "rows.jsonl", rows)
        score_file(Local(guard()[0]), Reading.of(str(source)), folder / "local.jsonl")
        whole = (folder / "local.jsonl").read_bytes()
        took: dict[str, Took] = {}
        same: dict[str, bool] = {}
        killed: list[int] = []

        def run(title: str, workers: int, meanwhile: Callable[[], None] | None = None) -> None:
            output = folder / f"{title}.jsonl"
            with RayPool(make, workers=workers) as pool:
                if meanwhile is not None:
                    threading.Thread(target=meanwhile, daemon=True).start()
                took[title] = timed(pool, source, output)
            same[title] = output.read_bytes() == whole

        run("one worker", 1)
        run("two workers", 2)

        def in_the_middle() -> None:
            time.sleep(took["two workers"].seconds / 2)
            killed.append(kill_one_worker())

        run("two, one killed", 2, in_the_middle)
    ray.shutdown()
    table = markdown(
        ["", "seconds", "rows/s", "from the first rows on", "output is a local run's"],
        [
            [
                title,
                f"{each.seconds:.1f}",
                f"{rows / each.seconds:.0f}",
                f"{each.rate:.0f}",
                "yes" if same[title] else "NO",
            ]
            for title, each in took.items()
        ],
    )
    one, two = took["one worker"], took["two workers"]
    text = (
        f"## Workers on Ray\n\n`python -m benchmarks.ray_workers --rows {rows} --milliseconds"
        f" {milliseconds:g}`, ray {ray.__version__}, two processors.\n\n{table}\nTwo workers over"
        f" one: {one.seconds / two.seconds:.2f}, from the first rows on {two.rate / one.rate:.2f}."
        f" Killed: {'a worker' if any(killed) else 'NONE FOUND'}."
    )
    between_markers(results, "ray workers", text)
    print(text)


if __name__ == "__main__":
    main()
