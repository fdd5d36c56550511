"""Options that several commands share."""

from collections.abc import Sequence

import click

__all__ = ["assignments"]


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """`COLUMN=VALUE` texts by column."""
    chosen = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not COLUMN=VALUE", param_hint="--where")
        chosen[name] = value
    return chosen
