"""`ct-guard calibrate --decisions`: calibrators and thresholds of decisions, by question."""

from typing import TYPE_CHECKING, Any

import click

from .options import config_of, remark
from .progress import Terminal
from .shown import say, shown

if TYPE_CHECKING:
    from ct_guard.decisions import DecisionCalibrator
    from ct_guard.workflows import CalibrateDecisionsResult

__all__ = ["calibrate_decisions"]


def calibrate_decisions(source: str, output: str, options: dict[str, Any]) -> None:
    """Write what the graded decisions of `source` teach to `output`, and show it."""
    from ct_guard import workflows

    config = config_of(workflows.CalibrateDecisionsConfig, options)
    made = workflows.calibrate_decisions(source, output, config, report=Terminal())
    _show(made)
    for one in made.calibration.calibrators:
        for line in _promises(one):
            click.echo(shown(line))
    for line in made.remarks:
        remark(line)
    say(f"Written to {output}")


def _show(made: "CalibrateDecisionsResult") -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    title = f"{made.labels:,} graded decisions"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("question", "type", "fitted on", "slope", "log loss before", "after"):
        table.add_column(name, justify="left" if name in ("question", "type") else "right")
    for one in made.calibration.calibrators:
        losses = [
            f"{one.log_loss[key]:.4f}" if key in one.log_loss else "not held out"
            for key in ("before", "after")
        ]
        table.add_row(
            escape(shown(one.name)), one.question.type, f"{one.n:,}", f"{one.slope:.3g}", *losses
        )
    Console().print(table)


def _promises(one: "DecisionCalibrator") -> list[str]:
    lines = []
    for label, certificate in one.certificates.items():
        what = "what is decided" if label == "*" else f"what is decided as {label}"
        claim = (
            f"{one.name}: at most {certificate.alpha:.3g} wrong among {what}, with probability"
            f" {1 - certificate.delta:.3g}"
        )
        if certificate.threshold is None:
            lines.append(f"{claim}: no threshold: {certificate.reason}")
        else:
            lines.append(
                f"{claim}, from P >= {certificate.threshold:.3f} on: {certificate.answered:,} of"
                f" {certificate.n:,} states"
            )
    return lines
