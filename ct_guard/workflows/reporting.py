"""How a workflow tells what it does while it does it: to whom is the caller's choice.

Nothing below this seam knows of terminals. A workflow is told where to report, `SILENT` by default;
the command line reports to a progress bar on stderr.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Literal, Protocol

__all__ = ["SILENT", "Reporter", "Unit", "Work"]

Unit = Literal["rows", "steps", "figures", "bytes"]


class Work(Protocol):
    """What long work tells of itself. Any of these may raise KeyboardInterrupt: the work stops
    between two of its pieces then, as for Ctrl-C."""

    def advance(self, count: int) -> None:
        """So many units more are done."""

    def skip(self, count: int) -> None:
        """So many were done before, by an interrupted run: they say nothing of the rate."""

    def reach(self, done: int, total: int | None = None, note: str = "") -> None:
        """So many are done, of so many in all where that is known now; `note` stands beside."""

    def tell(self, line: str) -> None:
        """A line of its own, at once."""

    def left(self) -> timedelta | None:
        """The time that is left at the rate of late, in seconds; None where that is not known."""


class Reporter(Protocol):
    """Who hears of a workflow while it runs."""

    def tell(self, line: str) -> None:
        """What is being done, in a sentence."""

    def note(self, line: str) -> None:
        """What to know before the work is under way: results repeat it in their `remarks`."""

    def warn(self, line: str) -> None:
        """What may be a reason to stop."""

    def working(
        self, title: str, total: int | None = None, *, unit: Unit = "rows", shown: bool = True
    ) -> AbstractContextManager[Work]:
        """Work of `total` units (None: not known yet) goes on while the block runs. It is told of
        if `shown`, and may be stopped either way."""


class _Silence:
    def advance(self, count: int) -> None:
        return

    def skip(self, count: int) -> None:
        return

    def reach(self, done: int, total: int | None = None, note: str = "") -> None:
        return

    def left(self) -> timedelta | None:
        return None

    def tell(self, line: str) -> None:
        return

    def note(self, line: str) -> None:
        return

    def warn(self, line: str) -> None:
        return

    @contextmanager
    def working(
        self, title: str, total: int | None = None, *, unit: Unit = "rows", shown: bool = True
    ) -> Iterator[Work]:
        yield self


SILENT: Reporter = _Silence()
"""Reports to nobody."""
