"""`ct-guard cost`: what policies do on held-out graded answers, and what that costs."""

from typing import TYPE_CHECKING, Any

import click

from .options import config_of, one_each_options, remark, where_option

if TYPE_CHECKING:
    from ct_guard.workflows import CostResult

__all__ = ["command"]


@click.command("cost", epilog="Exit codes: 0 ok; 2 usage or unreadable input.")
@click.argument("sources", metavar="SCORED...", nargs=-1, required=True)
@click.option(
    "-e", "--estimator", required=True, metavar="DIR", help="The estimator that scored them."
)
@click.option(
    "--policy", multiple=True, metavar="POLICY",
    help="A threshold, certified, annotate, or a JSON file; several. Default: annotate, what the"
    " estimator promises, and the policy `cost` with the costs given here.",
)  # fmt: skip
@click.option(
    "--error", type=float, default=10.0, show_default=True, metavar="COST",
    help="What an answer costs that passes and is wrong.",
)  # fmt: skip
@click.option(
    "--abstain", type=float, default=1.0, show_default=True, metavar="COST",
    help="What a question without an answer costs, in the same unit.",
)  # fmt: skip
@click.option(
    "--price", type=float, multiple=True, metavar="PRICE",
    help="What a call of each model costs, in the order of the files. Default: 0.",
)  # fmt: skip
@one_each_options
@where_option("Only rows with this value, for instance sample=0.")
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON.")
def command(sources: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Play policies on graded answers, as a guard would ask the models, and show errors, calls and
    cost of each.

    SCORED is what `ct-guard score` wrote, with grades in `correct`: a file for each model, in the
    order in which they are asked, of answers to the same questions. The questions must be held
    out: those that the estimator was tuned, calibrated or certified on are refused.

    \b
    Example:
      ct-guard cost small.jsonl large.jsonl -e my-calibrated --error 20 --abstain 2 \\
          --price 0.1 --price 1
    """
    import json
    from dataclasses import asdict

    from ct_guard.workflows import CostConfig, cost

    made = cost(sources, config_of(CostConfig, options))
    if as_json:
        played = [asdict(one) for one in made.played]
        click.echo(json.dumps({"models": made.models, "policies": played}, indent=1))
    else:
        _show(made)
    for line in made.remarks:
        remark(line)


def _show(made: "CostResult") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from .tables import escape

    costs = made.costs
    prices = ", ".join(
        f"{name} {price:g}" for name, price in zip(made.models, costs.prices, strict=True)
    )
    title = (
        f"{made.played[0].rows:,} questions; an error costs {costs.error:g}, an abstention"
        f" {costs.abstain:g}, a call of {prices}"
    )
    table = Table(title=escape(title), box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("policy", overflow="fold")
    for name in ("answered", "wrong of these", "cost a question"):
        table.add_column(name, justify="right")
    for name in made.models:
        table.add_column(f"asked\n{escape(name)}", justify="right", overflow="fold")
    for one in made.played:
        wrong = "none" if one.error_rate is None else f"{one.errors:,} ({one.error_rate:.1%})"
        table.add_row(
            escape(one.policy),
            f"{one.coverage:.1%}",
            wrong,
            f"{one.cost:.3f} ± {one.half_width:.3f}",
            *(f"{calls / one.rows:.1%}" for calls in one.calls),
        )
    table.caption, table.caption_justify = "±: half of a 95% interval", "left"
    Console().print(table)
