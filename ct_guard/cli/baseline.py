"""`ct-guard baseline`: an estimator without tuning, to compare with."""

from pathlib import Path
from typing import Any

import click

from ct_guard.methods import baselines

from .options import (
    backend_option,
    config_of,
    given_options,
    overwrite_option,
    quantization_option,
    remark,
)

__all__ = ["command"]

GRADERS = ("exact", "normalised", "substring", "multiple_choice", "numeric")


@click.command("baseline")
@click.argument("method", type=click.Choice(baselines()))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR",
    help="The new estimator directory.",
)  # fmt: skip
@click.option("--base", default=None, help="The base model: a directory, a GGUF file, a hub id,"
              " hub:owner/name/FILE.gguf, or 'mini'.")  # fmt: skip
@click.option("--graded", default=None, metavar="FILE", help="For question_prior: graded rows.")
@click.option("-k", "--samples", type=click.IntRange(1, 1000), default=10, show_default=True,
              help="For sampling: answers drawn to each question.")  # fmt: skip
@click.option("--temperature", type=click.FloatRange(0, 5, min_open=True), default=1.0,
              show_default=True, help="For sampling.")  # fmt: skip
@click.option("--max-tokens", type=click.IntRange(1), default=64, show_default=True,
              help="For sampling: most new tokens of an answer.")  # fmt: skip
@click.option("-g", "--grader", type=click.Choice(GRADERS), default="substring", show_default=True,
              help="For sampling: what agrees (either answer as the gold).")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="For sampling.")
@click.option("--label-orders", type=click.Choice(["fixed", "both"]), default="fixed",
              show_default=True, help="For zero-shot: 'both' also asks with the labels exchanged,"
              " and averages; twice the query's tokens.")  # fmt: skip
@backend_option("Loads the base.")
@quantization_option(
    "Load the base in 8 or 4 bits (extra 'quant'), here and whenever the baseline scores."
    " Default: none."
)
@overwrite_option("Replace an existing estimator at DIR.")
@click.pass_context
def command(context: click.Context, output: Path, **options: Any) -> None:
    """Make the baseline METHOD an estimator directory, which is scored, calibrated, certified and
    evaluated like any other. Nothing is tuned.

    \b
    zero-shot       the uncertainty query, asked of the base model as it is
    likelihood      the answer's probability under the base model
    perplexity      the same, per token
    verbalized      the base model is asked to state a probability
    sampling        share of the base model's own sampled answers that agree with the answer
    question_prior  gradient boosting on the question's text: no model, no answer

    \b
    Examples:
      ct-guard baseline sampling --base mini -k 5 --grader numeric -o my-sampling
      ct-guard baseline zero-shot --base mini --label-orders both -o my-zero-shot
      ct-guard baseline question_prior --graded graded.jsonl -o my-prior
    With the settings' defaults no directory is needed:
      ct-guard score answers.jsonl -e likelihood --base PATH -o scored.jsonl
    """
    from ct_guard.workflows import BaselineConfig, baseline
    from ct_guard.workflows.settings import refuse_idle

    config = config_of(BaselineConfig, options)
    refuse_idle(config, given_options(context))
    made = baseline(output, config)
    for line in made.remarks:
        remark(line, "Note: ")
    if config.graded is not None:
        found = made.manifest.figures
        click.echo(f"Fitted on {found['rows']:,} answers to {found['questions']:,} questions.")
    if made.cost is not None:
        click.echo(f"Costs {made.cost}.")
    click.echo(f"Written to {output}")
