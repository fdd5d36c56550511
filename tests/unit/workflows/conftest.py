"""Scored files, and who listens to a workflow."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from ct_guard.workflows.reporting import Unit, Work
from tests.unit.evaluation.conftest import estimator, make_rows, write

__all__ = ["estimator", "heard", "make_rows", "write"]


class Heard:
    """Keeps all that a workflow says."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.works: list[tuple[str, int | None, Unit]] = []
        self.done = 0

    def tell(self, line: str) -> None:
        self.lines.append(line)

    def note(self, line: str) -> None:
        self.notes.append(line)

    def warn(self, line: str) -> None:
        self.warnings.append(line)

    @contextmanager
    def working(
        self, title: str, total: int | None = None, *, unit: Unit = "rows", shown: bool = True
    ) -> Iterator[Work]:
        self.works.append((title, total, unit))
        yield self

    def advance(self, count: int) -> None:
        self.done += count

    def skip(self, count: int) -> None:
        self.done += count

    def reach(self, done: int, total: int | None = None, note: str = "") -> None:
        self.done = done

    def left(self) -> timedelta | None:
        return None


@pytest.fixture
def heard() -> Heard:
    return Heard()
