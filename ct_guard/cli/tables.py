"""An evaluation as tables for the terminal. Intervals stand below their value, so that several
estimators fit side by side."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich import box
from rich.markup import escape as without_markup
from rich.table import Table

from ct_guard.evaluation import Beside, Difference, Evaluated, Evaluation
from ct_guard.evaluation.fields import FieldFigures
from ct_guard.metrics import Interval

from .shown import shown

__all__ = ["evaluation_tables", "field_table"]

T = TypeVar("T")


COLUMN, DIFFERENCE, FLOOR = 21, 24, 8
"""Width of a column with its interval and the space beside it, in characters; of a noise floor."""


def escape(text: str) -> str:
    """A text of somebody else's in a cell: no markup, and nothing that a terminal obeys."""
    return without_markup(shown(text))


def evaluation_tables(found: Evaluation, width: int) -> Iterator[Table]:
    """Figures; differences where there are several columns; columns of the file beside estimators,
    and slices, where they were asked for. What is wider than `width` characters goes on in a
    further table: nothing is cut off."""
    columns = [*found.estimators, *([found.prior] if found.prior is not None else [])]
    for part in _parts(columns, (width - 24) // COLUMN):
        yield _figures(found, part)
    for pairs in _parts(found.differences, (width - 16) // DIFFERENCE):
        yield _differences(pairs)
    for pair in found.comparisons:
        yield _beside(pair)
    if columns[0].slices:
        for kind in columns[0].slices[0].figures:
            if _defined(columns[0], kind):
                wide = COLUMN + FLOOR * _has_floor(columns[0], kind)
                for part in _parts(columns, (width - 34) // wide):
                    yield _slices(part, kind)


def field_table(found: FieldFigures) -> Table:
    """Figures of fields, all of them and by group."""
    table = _table(
        f"{found.fields:,} graded fields of {found.answers:,} answers, beside P of the whole answer"
    )
    table.add_column("fields of", overflow="fold")
    for name in ("n", "right", "AUROC", "whole's", "ECE", "noise\nfloor", "whole's"):
        table.add_column(name, justify="right")
    for name, one in [*found.groups.items(), ("all", found)]:
        figures = (
            one.accuracy, one.auroc, one.whole_auroc, one.ece, one.noise_floor, one.whole_ece,
        )  # fmt: skip
        cells = ["-" if value is None else f"{value:.3f}" for value in figures]
        table.add_row(
            escape(name), f"{one.fields:,}", *cells, style="bold" if one is found else None
        )
    if found.gain is not None and found.gain.value is not None:
        low, high = found.gain.low, found.gain.high
        bounds = "" if low is None or high is None else f" ({low:+.3f} to {high:+.3f})"
        table.caption = f"AUROC less the whole's: {found.gain.value:+.3f}{bounds}, by question"
        table.caption_justify = "left"
    return table


def _parts(columns: Sequence[T], most: int) -> Iterator[list[T]]:
    for start in range(0, len(columns), max(most, 1)):
        yield list(columns[start : start + max(most, 1)])


def _figures(found: Evaluation, columns: list[Evaluated]) -> Table:
    rows = found.rows
    questions = len(rows.question_keys())
    table = _table(
        f"{rows.path}: {len(rows):,} graded rows, {questions:,} questions; 95% intervals"
    )
    table.add_column("figure")
    for one in columns:
        table.add_column(escape(one.name), justify="right", min_width=14, overflow="fold")
    table.add_column("better")
    by_name = [{figure.name: figure for figure in one.figures} for one in columns]
    for figure in columns[0].figures:
        cells = [_cell(figures[figure.name].interval) for figures in by_name]
        table.add_row(figure.name, *cells, figure.better)
    table.caption = escape("; ".join(_notes(columns)))
    table.caption_justify = "left"
    return table


def _notes(columns: list[Evaluated]) -> Iterator[str]:
    """What is to be known of a figure, once where it is the same for all estimators."""
    for at, figure in enumerate(columns[0].figures):
        said = {one.name: one.figures[at].note for one in columns if one.figures[at].note}
        if len(set(said.values())) == 1:
            yield f"{figure.name}: {next(iter(said.values()))}"
        else:
            yield from (f"{figure.name} of {name}: {note}" for name, note in said.items())


def _differences(pairs: list[Difference]) -> Table:
    table = _table("Paired differences on the same rows; * the interval excludes 0")
    table.add_column("figure")
    for pair in pairs:
        table.add_column(
            f"{escape(pair.one)}\nless {escape(pair.other)}",
            justify="right",
            min_width=18,
            overflow="fold",
        )
    for at, figure in enumerate(pairs[0].figures):
        cells = [_gain(pair.figures[at].interval) for pair in pairs]
        table.add_row(figure.name, *cells)
    return table


def _beside(found: Beside) -> Table:
    table = _table(
        f"Beside the column {found.column}: {found.rows:,} rows, {found.questions:,} questions;"
        " * the interval excludes 0"
    )
    table.add_column("figure")
    for name in (found.estimator, found.column, "difference"):
        table.add_column(escape(name), justify="right", min_width=14, overflow="fold")
    table.add_column("better")
    for pair in found.pairs:
        table.add_row(
            pair.name, _cell(pair.ours), _cell(pair.theirs), _gain(pair.difference), pair.better
        )
    notes = [f"{pair.name}: {pair.note}" for pair in found.pairs if pair.note]
    table.caption, table.caption_justify = escape("; ".join(notes)), "left"
    return table


def _defined(one: Evaluated, kind: str) -> bool:
    """Whether some slice has this figure: it takes labels, which are the same for all columns."""
    return any(part.figures[kind].interval.value is not None for part in one.slices)


def _has_floor(one: Evaluated, kind: str) -> bool:
    return any(part.figures[kind].noise_floor is not None for part in one.slices)


def _slices(columns: list[Evaluated], kind: str) -> Table:
    table = _table(f"{kind} within slices")
    with_floor = _has_floor(columns[0], kind)
    table.add_column("slice")
    for name in ("rows", "accuracy"):
        table.add_column(name, justify="right")
    for one in columns:
        table.add_column(escape(one.name), justify="right", min_width=14, overflow="fold")
        if with_floor:
            table.add_column("noise\nfloor", justify="right", min_width=5)
    for at, part in enumerate(columns[0].slices):
        cells = []
        for one in columns:
            figure = one.slices[at].figures[kind]
            cells.append(_cell(figure.interval))
            if with_floor:
                cells.append("" if figure.noise_floor is None else f"{figure.noise_floor:.3f}")
        last = at == len(columns[0].slices) - 1
        table.add_row(
            escape(part.name), f"{part.rows:,}", f"{part.accuracy:.3f}", *cells,
            style="bold" if last else None,
        )  # fmt: skip
    if with_floor:
        table.caption = (
            f"Noise floor: the {kind} that a perfectly calibrated estimator would show on as many"
            f" rows. The intervals are of the {kind} on as many rows, that noise included."
        )
        table.caption_justify = "left"
    return table


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
