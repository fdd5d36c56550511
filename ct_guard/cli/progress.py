"""Progress on stderr: rate and remaining time where somebody watches, nothing in a pipe."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ct_guard.tuning import Progress

__all__ = ["bytes_progress", "rows_progress", "tuning_progress"]


@contextmanager
def rows_progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar over rows; yields a function to call with the number of rows just done."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=True),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task(title, total=total, rate="")

        def advance(count: int) -> None:
            progress.advance(task, count)
            speed = progress.tasks[0].finished_speed or progress.tasks[0].speed
            progress.update(task, rate=f"{speed:,.0f} rows/s" if speed else "")

        yield advance


@contextmanager
def bytes_progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar over bytes; yields a function to call with the bytes done and in all."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def tuning_progress(
    steps: int, *, shown: bool
) -> Iterator[tuple[Callable[[int, float], None], Callable[["Progress"], None]]]:
    """Yields what to call with every step and its loss, and with every evaluation: a bar with the
    remaining time where somebody watches, and one line an evaluation, all on stderr."""
    if not shown:
        yield lambda step, loss: None, lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with Bar(
        TextColumn("Tuning"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("Tuning", total=steps, loss="…")
        begun: list[tuple[int, float]] = []

        def stepped(step: int, loss: float) -> None:
            if not begun:  # a resumed run begins in the middle
                begun.append((step - 1, monotonic()))
            bar.update(task, completed=step, loss=f"{loss:.4f}")

        def left(step: int) -> str:
            if not begun or step >= steps:
                return ""
            first, at = begun[0]
            seconds = (steps - step) * (monotonic() - at) / max(step - first, 1)
            return f", at most {timedelta(seconds=round(seconds))} left"

        def evaluated(progress: "Progress") -> None:
            area = progress.validation_auroc
            console.print(
                f"step {progress.step:,}/{progress.steps:,}: loss {progress.loss:.4f}, validation"
                f" log loss {progress.validation_log_loss:.4f}, AUROC"
                f" {'not defined' if area is None else f'{area:.3f}'},"
                f" {progress.rows_per_second:,.0f} rows/s{left(progress.step)}"
            )

        yield stepped, evaluated
