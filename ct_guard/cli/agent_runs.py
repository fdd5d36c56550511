"""`ct-guard calibrate --runs`: how likely an agent's run is to succeed."""

from typing import Any

import click

from .options import config_of, remark
from .shown import say

__all__ = ["OF_RUNS", "weigh_runs"]

OF_RUNS = {"source", "output", "estimator", "runs", "overwrite", "seed"}
"""Options that go with `--runs`."""


def weigh_runs(source: str, output: str, options: dict[str, Any], given: set[str]) -> None:
    """Fit the layer, write the copy, and say what it is worth."""
    if other := given - OF_RUNS:
        name = min(other).replace("_", "-")
        raise click.UsageError(f"--{name} is for scored answers, not for --runs: leave it out")
    if options["estimator"] is None:
        raise click.UsageError("--runs needs --estimator: the one that judged the turns")
    from ct_guard.workflows import CalibrateRunsConfig, calibrate_runs

    made = calibrate_runs(source, output, config_of(CalibrateRunsConfig, options))
    fitted, layer = made.fitted, made.fitted.layer
    click.echo(f"{layer.n:,} labelled runs, {layer.succeeded:,} of which succeeded. At the end of")
    click.echo(
        f"held-out runs: log loss {layer.log_loss:.4f} (their share: {layer.base_rate:.4f}),"
    )
    click.echo(
        f"AUROC {_figure(fitted.auroc)} (least confidence alone: {_figure(fitted.auroc_least)}),"
        f" ECE {fitted.ece:.4f} (a perfect layer: {fitted.ece_floor:.4f})"
    )
    for line in made.remarks:
        remark(line)
    say(f"Written to {output}")


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
