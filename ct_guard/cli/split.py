"""`ct-guard split`."""

from pathlib import Path
from typing import Any

import click

from .options import config_of, overwrite_option, shape_options
from .shown import say

__all__ = ["command"]

PARTS = ("tuning=50", "calibration=15", "certification=20", "test=15")


@click.command("split")
@click.argument("source", metavar="FILE")
@click.option(
    "-o", "--output", required=True, metavar="DIR", help="Folder of the parts.",
    type=click.Path(path_type=Path, file_okay=False),
)  # fmt: skip
@click.option(
    "-p", "--part", "parts", multiple=True, default=PARTS, show_default=True, metavar="NAME=SHARE",
    help="A part and its share, in any unit.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Draws the lots.")
@overwrite_option("Replace files that are there.")
@shape_options
def command(source: str, output: Path, parts: tuple[str, ...], **options: Any) -> None:
    """Divide FILE (.jsonl, .csv, .parquet) into files of different questions: what an estimator is
    tuned on must not calibrate it, and neither may certify or test it.

    All rows of a question stay together. Which part a question falls into depends on its text and
    the seed alone: further answers to it, in another file, fall into the same part.

    \b
    Examples:
      ct-guard split graded.jsonl -o parts
      ct-guard split graded.csv -o parts -p tuning=3 -p test=1
      ct-guard split samples_gsm8k.jsonl --format lm-eval -o parts
    """
    from ct_guard.workflows import SplitConfig, split

    config = config_of(SplitConfig, {**options, "parts": _shares(parts)})
    for part in split(source, output, config).parts.values():
        say(f"{part.path}: {part.rows:,} rows, {part.questions:,} questions", out=True)


def _shares(parts: tuple[str, ...]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for text in parts:
        name, _, share = text.partition("=")
        try:
            shares[name] = float(share)
        except ValueError:
            raise click.BadParameter(f"{text!r} is not NAME=SHARE", param_hint="--part") from None
    return shares
