"""The options of `ct-guard grade` that name a question set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["set_options"]

_DECLARED = (
    click.option(
        "--dataset", default=None, metavar="NAME",
        help="Instead of FILE, a question set: 'sciq:train', 'mmlu:anatomy:test', 'mixture:paper',"
        " …; with --question-field any other one: owner/name:split of the hub, or a file.",
    ),
    click.option("--limit", type=click.IntRange(1), default=None, help="Most questions."),
    click.option(
        "--rendering", type=click.Choice(["open", "choice"]), default=None,
        help="Open-ended, or multiple choice answered by a letter. Default: open; with"
        " --choices-field choice.",
    ),
    click.option(
        "--shots", type=click.IntRange(0), default=None,
        help="Examples before each question. Default: as in the paper (MMLU 5, GSM8K 8, else 0).",
    ),
    click.option(
        "--dataset-seed", type=int, default=137, show_default=True,
        help="Draws the examples, and the order of SciQ's choices.",
    ),
    click.option(
        "--dataset-dir", type=click.Path(path_type=Path, file_okay=False), default=None,
        help="Folder of local copies, one folder a set (sciq/, mmlu/anatomy/): as 'datasets' saves"
        " them, or Parquet, JSON, CSV files named by split. Default: $CT_GUARD_DATASETS.",
    ),
    click.option("--question-field", default=None, metavar="FIELD", help="Field of the question."),
    click.option("--answer-field", default=None, metavar="FIELD", help="Field of the answer."),
    click.option(
        "--choices-field", default=None, metavar="FIELD",
        help="Field of the list of choices; a dot leads inside (choices.text).",
    ),
)  # fmt: skip


def set_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a command."""
    for option in reversed(_DECLARED):
        command = option(command)
    return command
