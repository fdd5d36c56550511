"""`ct-guard audit`: a person checks the grader."""

from typing import TYPE_CHECKING

import click

from .options import overwrite_option

if TYPE_CHECKING:
    from ct_guard.datasets import Rate

__all__ = ["command"]


@click.command("audit")
@click.argument("graded", metavar="GRADED")
@click.argument("checked", metavar="FILE")
@click.option(
    "--draw", "size", type=click.IntRange(2), default=None, metavar="N",
    help="Write N rows of GRADED to FILE, to be checked.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@overwrite_option("Let a draw replace an existing FILE.")
def command(graded: str, checked: str, size: int | None, seed: int, overwrite: bool) -> None:
    """Turn a person's verdicts in FILE into the error rates of the grader of GRADED.

    GRADED is what ct-guard grade wrote; FILE are rows of it that --draw (or grade --audit) drew,
    half of them graded right, half graded wrong, without the grader's verdict. The person writes
    true or false into the column 'correct', or leaves it empty. The rates are kept in
    GRADED.manifest.json. A threshold that is certified on graded rows promises nothing of the true
    error rate before the upper bound of the false-pass rate is taken into account.

    \b
    Example:
      ct-guard audit graded.jsonl check.csv --draw 100
      … fill in 'correct' in check.csv …
      ct-guard audit graded.jsonl check.csv
    """
    from ct_guard.workflows import AuditConfig, audit

    made = audit(graded, checked, AuditConfig(draw=size, seed=seed, overwrite=overwrite))
    found = made.audit
    if found is None:
        click.echo(
            f"{made.drawn} rows to check are in {checked}: fill in 'correct', then\n"
            f"  ct-guard audit {graded} {checked}"
        )
        return
    for name, stratum in (("right", found.right), ("wrong", found.wrong)):
        click.echo(
            f"graded {name:<6} {stratum.checked} of {stratum.rows:,} checked,"
            f" {stratum.overturned} overturned"
        )
    if found.undecided:
        click.echo(f"undecided     {found.undecided}")
    click.echo(f"false passes  {_shown(found.false_pass, found.level)} of the wrong answers")
    click.echo(f"false fails   {_shown(found.false_fail, found.level)} of the right answers")
    click.echo(
        f"Kept in the manifest of {graded}. A threshold that allows for it:\n"
        f"  ct-guard certify SCORED -e DIR --grader-false-pass {graded}"
    )


def _shown(rate: "Rate", level: float) -> str:
    value = "unknown" if rate.value is None else f"{rate.value:.1%}"
    return f"{value} ({level:.0%} interval {rate.low:.1%} to {rate.high:.1%})"
