"""An evaluation as tables for the terminal. Intervals stand below their value, so that several
estimators fit side by side."""

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from ct_guard.evaluation import Evaluated, Evaluation
from ct_guard.metrics import Interval

__all__ = ["evaluation_tables", "least_width"]

_WIDEST = 10_000
"""Characters: more than any table needs."""

_LONGEST = "-0.000 to +0.000"
"""The longest cell of figures."""


def evaluation_tables(found: Evaluation) -> Iterator[Table]:
    """Figures; differences where there are several columns; slices where they were asked for."""
    columns = [*found.estimators, *([found.prior] if found.prior is not None else [])]
    yield _figures(found, columns)
    if found.differences:
        yield _differences(found)
    if columns[0].slices:
        for kind in columns[0].slices[0].figures:
            yield _slices(columns, kind)


def least_width(table: Table) -> int:
    """Characters a line that `table` needs for whole words and figures."""
    console = Console(width=_WIDEST)
    return Measurement.get(console, console.options, table).minimum


def _figures(found: Evaluation, columns: list[Evaluated]) -> Table:
    rows = found.rows
    questions = len(rows.question_keys())
    table = _table(
        f"{rows.path}: {len(rows):,} graded rows, {questions:,} questions; 95% intervals"
    )
    table.add_column("figure")
    for one in columns:
        _add_figures(table, one.name)
    table.add_column("better")
    by_name = [{figure.name: figure for figure in one.figures} for one in columns]
    for figure in columns[0].figures:
        cells = [_cell(figures[figure.name].interval) for figures in by_name]
        table.add_row(figure.name, *cells, figure.better)
    notes = [f"{figure.name}: {figure.note}" for figure in columns[0].figures if figure.note]
    table.caption = "; ".join(notes)
    table.caption_justify = "left"
    return table


def _differences(found: Evaluation) -> Table:
    table = _table("Paired differences on the same rows; * the interval excludes 0")
    table.add_column("figure")
    for pair in found.differences:
        _add_figures(table, f"{pair.one}\nless {pair.other}")
    for at, figure in enumerate(found.differences[0].figures):
        cells = [_gain(pair.figures[at].interval) for pair in found.differences]
        table.add_row(figure.name, *cells)
    return table


def _slices(columns: list[Evaluated], kind: str) -> Table:
    table = _table(f"{kind} within slices")
    table.add_column("slice")
    for name in ("rows", "accuracy"):
        table.add_column(name, justify="right")
    for one in columns:
        _add_figures(table, one.name)
    for at, part in enumerate(columns[0].slices):
        cells = [_cell(one.slices[at].figures[kind]) for one in columns]
        last = at == len(columns[0].slices) - 1
        table.add_row(
            escape(part.name), f"{part.rows:,}", f"{part.accuracy:.3f}", *cells,
            style="bold" if last else None,
        )  # fmt: skip
    return table


def _add_figures(table: Table, header: str) -> None:
    """A column whose figures are never broken or cut off."""
    least = max(len(_LONGEST), *map(len, header.splitlines()))
    table.add_column(escape(header), justify="right", no_wrap=True, min_width=least)


def _table(title: str) -> Table:
    return Table(title=escape(title), box=box.SIMPLE_HEAD, title_justify="left")


def _cell(interval: Interval) -> str:
    if interval.value is None:
        return "not defined"
    if interval.low is None or interval.high is None:
        return f"{interval.value:.3f}"
    return f"{interval.value:.3f}\n[dim]{interval.low:.3f} to {interval.high:.3f}[/dim]"


def _gain(interval: Interval) -> str:
    if interval.value is None:
        return "not defined"
    if interval.low is None or interval.high is None:
        return f"{interval.value:+.3f}  "
    star = "*" if interval.low > 0 or interval.high < 0 else " "
    return f"{interval.value:+.3f} {star}\n[dim]{interval.low:+.3f} to {interval.high:+.3f}[/dim]"
