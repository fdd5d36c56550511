"""`ct-guard calibrate --evidence` and `--by`: what evidence adds, and what groups differ by."""

from typing import TYPE_CHECKING, Any

import click

from .options import config_of, remark
from .shown import say, shown

if TYPE_CHECKING:
    from ct_guard.evaluation.groups import Grouped
    from ct_guard.evidence import Found

__all__ = ["show_evidence", "show_groups", "weigh_evidence"]

GROUPS_SHOWN = 20


def weigh_evidence(source: str, output: str, options: dict[str, Any]) -> None:
    """Make the estimator `output`, without a base, and say what each evidence adds."""
    from ct_guard.workflows import WeighConfig, weigh

    made = weigh(source, output, config_of(WeighConfig, options))
    show_evidence(made.found, f"{made.labels:,} graded answers to {made.questions:,} questions")
    if made.grouped is not None:
        show_groups(made.grouped)
    for line in made.remarks:
        remark(line)
    say(f"Written to {output}")


def show_evidence(found: "Found", title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    chosen = found.log_loss[found.kind]
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("evidence")
    for name in ("log loss with it alone", "without it", "leaving it out costs"):
        table.add_column(name, justify="right")
    for name in found.fitted.evidence:
        if name in found.alone:
            costs = found.without[name] - chosen
            table.add_row(
                escape(shown(name)), f"{found.alone[name]:.4f}", f"{found.without[name]:.4f}",
                f"{costs:+.4f}",
            )  # fmt: skip
    table.add_row("all", f"{chosen:.4f}", f"{found.base_rate:.4f}", "")
    Console().print(table)
    others = ", ".join(f"{kind} {loss:.4f}" for kind, loss in sorted(found.log_loss.items()))
    click.echo(f"layer: {found.kind} (cross-validated log loss by question: {others})")


def show_groups(found: "Grouped", *, err: bool = False) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title="Within groups, on questions that were held out",
        box=box.SIMPLE_HEAD, title_justify="left",
    )  # fmt: skip
    table.add_column("group")
    for name in ("rows", "ECE before", "noise floor", "ECE within groups", "noise floor"):
        table.add_column(name, justify="right")
    for one in found.figures[:GROUPS_SHOWN]:
        figures = (one.before, one.floor_before, one.after, one.floor_after)
        table.add_row(
            escape(shown(f"{one.column}={one.value}")), f"{one.rows:,}",
            *(f"{figure:.3f}" for figure in figures),
        )  # fmt: skip
    console = Console(stderr=err)
    console.print(table)
    if len(found.figures) > GROUPS_SHOWN:
        console.print(f"… and {len(found.figures) - GROUPS_SHOWN:,} smaller groups")
    say(_verdict(found), out=not err)


def _verdict(found: "Grouped") -> str:
    losses = f"cross-validated log loss {found.before:.4f} without"
    if found.penalty is None:
        return f"Groups are not corrected: that does not help ({losses})."
    before, after = found.worst
    return (
        f"Groups are corrected, shrunk by a penalty of {found.penalty:g} ({losses},"
        f" {found.after:.4f} with it); the worst group's ECE goes from {before:.3f} to {after:.3f}."
    )
