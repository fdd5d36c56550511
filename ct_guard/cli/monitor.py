"""`ct-guard monitor`: does what was certified still hold?"""

from typing import Any

import click

from .options import config_of, remark, where_option
from .progress import Terminal
from .shown import say
from .standing import alarms_told_once, leave, show_alarms, show_standing

__all__ = ["command"]


@click.command(
    "monitor",
    epilog="Exit codes: 0 no alarm; 2 usage or unreadable input; 5 an alarm was raised, now or"
    " before, or a certificate is void.",
)
@click.argument("source", metavar="[SCORED]", required=False)
@click.option(
    "-e", "--estimator", required=True, metavar="DIR", help="The estimator that scored SCORED."
)
@click.option(
    "--book", metavar="FILE",
    help="SQLite file of answers and outcomes. Default: monitor.sqlite in DIR.",
)  # fmt: skip
@click.option(
    "--false-alarm", type=float, default=None, metavar="RATE",
    help="Allowed probability that any test ever raises an alarm while nothing changes. Default:"
    " the book's, 0.05 in a new one.",
)  # fmt: skip
@where_option("Only rows with this value, for instance sample=0.")
def command(source: str | None, **options: Any) -> None:
    """Hold the answers of SCORED, in order, against the sample that DIR was certified on: do their
    scores, their statuses, their models, the arithmetic still look like it? Without SCORED, say how
    everything stands.

    SCORED is what `ct-guard score` wrote, as it comes from production: all of it, without labels.
    Answers with an `id` are noted, so that 'ct-guard outcomes add' can say later what came of
    them; an answer that was noted before does not count again. Each alarm is told once for each
    certificate's sample, and counts until there is a new one.

    \b
    Examples:
      ct-guard monitor monday.jsonl -e my-calibrated
      ct-guard monitor -e my-calibrated
    """
    from ct_guard.workflows import MonitorConfig, monitor

    alarms_told_once()
    made = monitor(source, config_of(MonitorConfig, options), report=Terminal())
    show_alarms(made.alarms)
    show_standing(made.standing, told=made.standing.alarms)
    for line in made.remarks:
        remark(line)
    if source is not None:
        say(f"Noted {made.new:,} of {made.rows:,} rows.")
    raised = set(made.alarms)
    for alarm in made.standing.alarms:
        if alarm not in raised:
            say(f"Told before, {alarm.at} ({alarm.kind}): {alarm.text}")
    leave(made.standing)
