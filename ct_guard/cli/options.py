"""Options that several commands share."""

from collections.abc import Sequence
from pathlib import Path

import click

__all__ = ["assignments", "check_spreadsheet", "place_of", "spreadsheet_option"]

spreadsheet_option = click.option(
    "--spreadsheet", is_flag=True,
    help="For CSV that is opened in a spreadsheet: text that it would run as a formula (=, +, -, @"
    " in front) gets an apostrophe. Without it every value is written exactly, for programs.",
)  # fmt: skip


def check_spreadsheet(spreadsheet: bool, output: str) -> None:
    """Raises click.UsageError for the option with an output that is no CSV."""
    if spreadsheet and not output.lower().endswith(".csv"):
        raise click.UsageError("--spreadsheet is for an --output that ends in .csv: leave it out")


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
