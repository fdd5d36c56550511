"""Options that several commands share."""

from collections.abc import Sequence
from pathlib import Path

import click

__all__ = ["assignments", "place_of"]


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """`COLUMN=VALUE` texts by column."""
    chosen = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not COLUMN=VALUE", param_hint="--where")
        chosen[name] = value
    return chosen


def place_of(folder: Path, output: str | None) -> Path:
    """Where the changed estimator goes: `output`, or the estimator's own `folder`, except for
    embedded ones and those in a cache, where a change would be lost."""
    from ct_guard.adapters import MINI, is_fetched

    if output is not None:
        return Path(output)
    if folder.resolve().is_relative_to(MINI.resolve()):
        raise click.UsageError("an embedded estimator stays as it is: write a copy with -o DIR")
    if is_fetched(folder):
        raise click.UsageError(
            "an estimator from the hub stays in the cache as it was fetched: write a copy with"
            " -o DIR"
        )
    return folder
