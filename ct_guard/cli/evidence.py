"""`ct-guard calibrate --evidence`: an estimator of what is known of answers, without a base."""

from typing import TYPE_CHECKING, Any

import click

from .options import config_of, remark
from .shown import say, shown

if TYPE_CHECKING:
    from ct_guard.evidence import Found

__all__ = ["calibrate_evidence"]


def calibrate_evidence(source: str, output: str, evidence: str, options: dict[str, Any]) -> None:
    """Make the estimator `output`, and say what each evidence adds."""
    from ct_guard.workflows import WeighConfig, weigh

    names = [name.strip() for name in evidence.split(",") if name.strip()]
    made = weigh(source, output, config_of(WeighConfig, {**options, "evidence": names}))
    _show(made.found, f"{made.labels:,} graded answers to {made.questions:,} questions")
    for line in made.remarks:
        remark(line)
    say(f"Written to {output}")


def _show(found: "Found", title: str) -> None:
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
