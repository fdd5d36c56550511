"""`ct-guard outcomes`: what came of answers that were scored."""

from typing import Any

import click

from .options import config_of, remark
from .shown import say
from .standing import alarms_told_once, leave, show_alarms, show_standing

__all__ = ["command"]


@click.group("outcomes")
def command() -> None:
    """Record what came of answers that were scored."""


@command.command(
    "add",
    epilog="Exit codes: 0 no alarm; 2 usage or unreadable input; 5 an alarm was raised, now or"
    " before, or a certificate is void.",
)
@click.argument("source", metavar="FILE")
@click.option(
    "-e", "--estimator", required=True, metavar="DIR", help="The estimator that scored the answers."
)
@click.option(
    "--book", metavar="FILE",
    help="SQLite file of answers and outcomes. Default: monitor.sqlite in DIR.",
)  # fmt: skip
@click.option(
    "--skip-unknown", is_flag=True,
    help="Pass over outcomes of answers that were never noted, instead of refusing FILE.",
)  # fmt: skip
def add(source: str, **options: Any) -> None:
    """Add the outcomes in FILE: rows with `id`, as in the scored file, and `correct`.

    They are held, in order, against the certificates of DIR. One behind which more than its alpha
    are wrong becomes void, in DIR itself: no policy lets anything pass by it any more. Outcomes
    that arrive later are fresh: 'ct-guard certify --from-outcomes' makes a new certificate of them.

    The answers must have been noted before ('ct-guard monitor', or a guard with a monitor). Which
    of them get an outcome must not depend on whether they are right.

    \b
    Example:
      ct-guard outcomes add labelled.csv -e my-calibrated
    """
    from ct_guard.workflows import OutcomesConfig, outcomes

    alarms_told_once()
    made = outcomes(source, config_of(OutcomesConfig, options))
    show_alarms(made.alarms)
    show_standing(made.standing, told=made.alarms)
    for line in made.remarks:
        remark(line)
    noted = made.noted
    parts = [
        f"{noted.new:,} new",
        *([f"{noted.known:,} known before"] if noted.known else []),
        *([f"{noted.unknown:,} of unknown answers, passed over"] if noted.unknown else []),
        *([f"{made.unlabelled:,} rows without one"] if made.unlabelled else []),
    ]
    say(f"Outcomes: {', '.join(parts)}.")
    leave(made.standing)
