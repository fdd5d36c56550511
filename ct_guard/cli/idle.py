"""Options that a command would take and then not use: refused before anything is loaded."""

from collections.abc import Mapping

import click
from click.core import ParameterSource

__all__ = ["refuse_idle"]

GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def refuse_idle(context: click.Context, idle: Mapping[str, str]) -> None:
    """Raise click.UsageError for the first option that the user gave, defaults not counted, and
    that is among the `idle` ones: by the parameter's name, what it is for."""
    for option in context.command.params:
        name = option.name or ""
        if name in idle and context.get_parameter_source(name) in GIVEN:
            spelled = max(option.opts, key=len)
            others = "".join(f"/{other}" for other in option.secondary_opts)
            raise click.UsageError(f"{spelled}{others} is for {idle[name]}: leave it out")
