"""`ct-guard report`: scored files as a page for a browser."""

from typing import Any

import click

from .options import config_of, overwrite_option, remark, where_option
from .progress import Terminal
from .shown import say

__all__ = ["command"]


@click.command("report")
@click.argument("sources", metavar="SCORED...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="PAGE", help="The page, .html.")
@click.option(
    "-e", "--estimator", multiple=True, metavar="DIR",
    help="Take P(correct) from the logits by the calibrators of this estimator, and show its"
    " certificates and what each evidence adds. For several SCORED, once for each, in order.",
)  # fmt: skip
@click.option(
    "--by", multiple=True, metavar="COLUMN",
    help="Also measure inside each value of this column; answering models always are. Repeatable.",
)  # fmt: skip
@where_option("Only rows with this value; several must all hold.")
@click.option(
    "--error-cost", type=float, default=10.0, show_default=True,
    help="Of a wrong answer that is given, in any unit. Who reads the page may change it.",
)  # fmt: skip
@click.option(
    "--escalation-cost", type=float, default=1.0, show_default=True,
    help="Of an answer that is not given, in the same unit.",
)  # fmt: skip
@click.option(
    "--rows", type=int, default=100, show_default=True,
    help="Answers of each kind that are shown in clear; 0 for a page without any text of them.",
)  # fmt: skip
@click.option("--title", help="Of the page.")
@click.option("--plots", metavar="DIR", help="Also write each diagram there, as PNG and SVG.")
@overwrite_option()
@click.option(
    "--resamples", type=int,
    help="Bootstrap resamples, by question; default: 1,000, for large files fewer, down to 100.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(sources: tuple[str, ...], output: str, quiet: bool, **options: Any) -> None:
    """Write a page about files that `ct-guard score` wrote and that have grades in `correct`.

    One file of HTML, which needs no network and makes no request: reliability, risk and coverage,
    ROC, what every threshold answers and costs, slices and models, the most confident mistakes, and
    where all of it comes from. Several files are the same rows by different estimators, side by
    side. Needs the extra 'report'.

    \b
      ct-guard report scored.jsonl -o report.html
      ct-guard report scored.jsonl -e my-calibrated --by kind --error-cost 20 -o report.html
    """
    from ct_guard.workflows import ReportConfig, report

    config = config_of(ReportConfig, options)
    made = report(sources, output, config, report=Terminal(quiet=quiet))
    for line in made.remarks:
        remark(line)
    say(f"{made.rows:,} rows in {made.page} ({made.size / 1e6:.1f} MB)", out=True)
    for path in made.plots:
        say(f"Drawn to {path}", out=True)
