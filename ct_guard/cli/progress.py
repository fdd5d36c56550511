"""Progress of long work, on stderr: a bar where somebody watches, and a line every 30 seconds in a
log. Every command shows its work through `showing`."""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from time import monotonic

from ct_guard.workflows.reporting import Unit, Work

from . import stopping
from .options import remark
from .shown import say, shown

__all__ = ["Lines", "Terminal", "bytes_progress", "showing"]

EVERY_SECONDS = 30.0
WINDOW_SECONDS = 120.0
"""The rate is that of the last two minutes."""


@contextmanager
def showing(
    title: str, total: int | None = None, *, unit: Unit = "rows", quiet: bool = False
) -> Iterator[Work]:
    """Shows work of `total` units (None: not known yet) while the block runs; not if `quiet`."""
    if quiet or not sys.stderr.isatty():
        yield Lines(title, total, unit, (lambda line: None) if quiet else say)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[line]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True, highlight=False, soft_wrap=True),
        transient=True,
    ) as bar:
        task = bar.add_task(title, total=total, line="")

        def draw(work: "Lines") -> None:
            bar.update(task, completed=work.done, total=work.total, line=work.state())

        def write(line: str) -> None:
            bar.console.print(line, markup=False)

        yield Lines(title, total, unit, write, draw=draw, every=float("inf"))


class Lines:
    """Work that is told in lines of text, `every` so many seconds while it goes on."""

    def __init__(
        self,
        title: str,
        total: int | None,
        unit: Unit,
        write: Callable[[str], None],
        *,
        draw: Callable[["Lines"], None] = lambda work: None,
        every: float = EVERY_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.done, self.total = 0, total
        self.note = ""
        self._title, self._unit = title, unit
        self._write, self._draw, self._every, self._clock = write, draw, every, clock
        self._said = clock()
        self._seen: deque[tuple[float, int]] = deque([(self._said, 0)])

    def advance(self, count: int) -> None:
        self.reach(self.done + count)

    def skip(self, count: int) -> None:
        self.done += count
        self._seen = deque([(self._clock(), self.done)])
        self._draw(self)

    def reach(self, done: int, total: int | None = None, note: str = "") -> None:
        stopping.check()
        now = self._clock()
        self.done, self.note = done, note
        self.total = self.total if total is None else total
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] < now - WINDOW_SECONDS:
            self._seen.popleft()
        self._draw(self)
        if now - self._said >= self._every:
            self._said = now
            self._write(f"{self._title}: {self.state()}")

    def tell(self, line: str) -> None:
        self._write(line)

    def left(self) -> timedelta | None:
        rate = self.rate()
        if rate is None or self.total is None or self.total < self.done:
            return None
        return timedelta(seconds=round((self.total - self.done) / rate))

    def rate(self) -> float | None:
        """Units a second; None before any was done."""
        (begun, before), (now, done) = self._seen[0], self._seen[-1]
        return (done - before) / (now - begun) if done > before and now > begun else None

    def state(self) -> str:
        """Done, in all, rate, and the time that is left, as far as they are known."""
        rate = self.rate()
        of = "" if self.total is None else f" of {self._amount(self.total)}"
        parts = [f"{self._amount(self.done)}{of} {self._unit}".removesuffix(" bytes")]
        if self.note:
            parts.append(self.note)
        if rate is not None:
            parts.append(self._rate(rate))
        if (left := self.left()) is not None:
            parts.append(f"{left} left")
        return ", ".join(parts)

    def _amount(self, count: int) -> str:
        return f"{count / 1e6:,.1f} MB" if self._unit == "bytes" else f"{count:,}"

    def _rate(self, rate: float) -> str:
        if self._unit == "bytes":
            return f"{rate / 1e6:,.1f} MB/s"
        return f"{rate:,.0f} {self._unit}/s" if rate >= 10 else f"{rate:.2g} {self._unit}/s"


class Terminal:
    """Where workflows report to when a command runs them: stderr."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    def tell(self, line: str) -> None:
        say(shown(line))

    def note(self, line: str) -> None:
        remark(line, "Note: ")

    def warn(self, line: str) -> None:
        remark(line)

    def working(
        self, title: str, total: int | None = None, *, unit: Unit = "rows", shown: bool = True
    ) -> AbstractContextManager[Work]:
        """Shown unless the command is quiet: what is noted and told is said even then."""
        return showing(title, total, unit=unit, quiet=self._quiet or not shown)


@contextmanager
def bytes_progress(title: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Yields a function to call with the bytes done and in all."""
    with showing(title, unit="bytes", quiet=quiet) as work:
        yield work.reach
