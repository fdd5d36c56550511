"""`ct-guard evaluate`: figures of scored files."""

import click

__all__ = ["command"]


@click.command("evaluate")
@click.argument("sources", metavar="SCORED...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option(
    "--resamples", type=click.IntRange(100), default=1000, show_default=True,
    help="Bootstrap resamples, by question.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True)
def command(sources: tuple[str, ...], as_json: bool, resamples: int, seed: int) -> None:
    """Evaluate files that `ct-guard score` wrote and that have grades in a column `correct`.

    Ranking (AUROC), calibration (ECE, with the value that noise alone would give), proper scores,
    selective prediction, and pair accuracy where questions have a right and a wrong answer; each
    with a 95% bootstrap interval over questions. No model is needed.
    """
    import json
    from dataclasses import asdict

    from ct_guard.evaluation import evaluate, read_scored, remarks

    results = []
    for source in sources:
        scored = read_scored(source)
        figures = evaluate(scored, resamples=resamples, seed=seed)
        said = remarks(scored, figures)
        if as_json:
            results.append(
                {
                    "file": scored.path,
                    "estimators": scored.estimators,
                    "rows": scored.rows,
                    "graded": len(scored.p),
                    "statuses": scored.statuses,
                    "figures": {figure.name: asdict(figure.interval) for figure in figures},
                    "remarks": said,
                }
            )
            continue
        from rich import box
        from rich.console import Console
        from rich.table import Table

        console = Console()
        table = Table(
            title=f"{scored.path}: {', '.join(scored.estimators)}, {len(scored.p):,} graded rows"
            f" of {scored.rows:,}, {int(scored.question.max()) + 1:,} questions",
            box=box.SIMPLE_HEAD,
            title_justify="left",
        )
        for name in ("figure", "value", "95% interval", "better", "note"):
            right = name in ("value", "95% interval")
            table.add_column(name, justify="right" if right else "left", no_wrap=name != "note")
        for figure in figures:
            low, high = figure.interval.low, figure.interval.high
            table.add_row(
                figure.name,
                _number(figure.interval.value),
                f"{_number(low)} to {_number(high)}" if low is not None else "not defined",
                figure.better,
                figure.note,
            )
        console.print(table)
        for line in said:
            console.print(f"! {line}", markup=False)
    if as_json:
        click.echo(json.dumps(results, indent=1))


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
