"""How a watch over certificates stands, on the terminal."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .shown import say

if TYPE_CHECKING:
    from ct_guard.monitoring import Alarm, PromiseStanding, Standing

__all__ = ["ALARM", "alarms_told_once", "leave", "show_alarms", "show_standing"]

ALARM = 5
"""Exit code where an alarm is raised, or was before and still counts."""


def alarms_told_once() -> None:
    """The command shows alarms itself; where nobody set up logging, Python would print the logger's
    warnings as well."""
    log = logging.getLogger("ct_guard.monitoring")
    if not log.handlers:
        log.addHandler(logging.NullHandler())


def show_alarms(alarms: "Sequence[Alarm]") -> None:
    for alarm in alarms:
        say(f"ALARM ({alarm.kind}): {alarm.text}", out=True)


def show_standing(found: "Standing", told: "Sequence[Alarm]" = ()) -> None:
    """Of each promise and of the scores; why one is void not once more, where an alarm has `told`
    it."""
    texts = {alarm.text for alarm in told}
    for one in found.promises:
        say(_promise(one, told=one.void in texts), out=True)
    if found.scored is not None and found.p_then is not None:
        now = "" if found.p_now is None else f", {found.p_now:.3f} since"
        say(
            f"scores       {found.scored:,} answers; mean P(correct) {found.p_then:.3f} in the"
            f" certification sample{now}; evidence of a change {_share(found.evidence)}",
            out=True,
        )
    say(
        f"false alarms in at most {found.false_alarm:.1%} of streams that do not change, all tests"
        " together, however long they are and however often you look",
        out=True,
    )


def leave(found: "Standing") -> None:
    """Ends the command with exit code 5 where an alarm counts."""
    if found.alarms:
        raise click.exceptions.Exit(ALARM)


def _promise(one: "PromiseStanding", *, told: bool) -> str:
    claim = one.claim
    said = f"{claim.kind:<11}  {{}} ({claim.about}: at most {claim.alpha:.1%} {claim.error})"
    if one.void:
        return said.format("VOID") if told else f"{claim.kind:<11}  {one.void}"
    counted = (
        "no outcome counted yet"
        if not one.counted
        else f"{one.errors:,} of {one.counted:,} outcomes {claim.error}, evidence against it"
        f" {_share(one.evidence)}"
    )
    return f"{said.format('stands')}: {counted}"


def _share(evidence: float | None) -> str:
    """Of what an alarm takes."""
    return f"{max(evidence or 0.0, 0.0):.0%} of what an alarm takes"
