"""`ct-guard baseline`: an estimator without tuning, to compare with."""

from pathlib import Path
from typing import Any, Literal

import click

from ct_guard.methods import METHODS, baselines

from .idle import refuse_idle
from .shown import say, shown

__all__ = ["command"]

PRIOR = "question_prior"
GRADERS = ("exact", "normalised", "substring", "multiple_choice", "numeric")
OF_SAMPLING = ("samples", "temperature", "max_tokens", "grader", "seed")


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
@click.option("--backend", default="transformers", show_default=True, help="Loads the base.")
@click.option("--quantization", type=click.Choice(["none", "8bit", "4bit"]), default=None,
              help="Load the base in 8 or 4 bits (extra 'quant'), here and whenever the baseline"
              " scores. Default: none.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing estimator at DIR.")
@click.pass_context
def command(
    context: click.Context,
    method: str,
    output: Path,
    base: str | None,
    graded: str | None,
    samples: int,
    temperature: float,
    max_tokens: int,
    grader: str,
    seed: int,
    label_orders: str,
    backend: str,
    quantization: Literal["none", "8bit", "4bit"] | None,
    overwrite: bool,
) -> None:
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
    from ct_guard.adapters import Asking, check_target, save_estimator
    from ct_guard.estimators import load_estimator
    from ct_guard.estimators.baselines import baseline_manifest, cost_of

    if (method == PRIOR) != (graded is not None) or (method == PRIOR) != (base is None):
        raise click.UsageError(
            f"{PRIOR} is fitted on --graded FILE and has no --base; every other baseline needs"
            " --base and no --graded"
        )
    refuse_idle(context, _idle_options(method, backend))
    check_target(output, overwrite=overwrite)
    if graded is not None:
        from ct_guard.datasets import read_graded
        from ct_guard.evaluation.baseline import save_question_prior

        rows = read_graded(graded)
        for remark in rows.remarks():
            say(f"Note: {shown(remark)}")
        manifest = save_question_prior(rows, output, overwrite=overwrite)
        found = manifest.figures
        click.echo(f"Fitted on {found['rows']:,} answers to {found['questions']:,} questions.")
    elif base is not None:
        asking = Asking(
            samples=samples, temperature=temperature, seed=seed, max_tokens=max_tokens,
            grader=grader,
        )  # fmt: skip
        bits = None if quantization == "none" else quantization
        options: dict[str, Any] = {} if bits is None else {"quantization": bits}
        estimator = load_estimator(method, base=base, backend=backend, **options)
        orders: Literal["fixed", "both"] = "both" if label_orders == "both" else "fixed"
        made = baseline_manifest(
            method,
            base,
            estimator.engine,
            asking=asking,
            label_orders=orders,
            quantization=bits,
        ).model_copy(update={"name": output.resolve().name})
        save_estimator(output, made, overwrite=overwrite)
        if (cost := cost_of(made)) is not None:
            click.echo(f"Costs {cost}.")
    click.echo(f"Written to {output}")


def _idle_options(method: str, backend: str) -> dict[str, str]:
    """The options that the method does not read, each with what it is for."""
    idle: dict[str, str] = {}
    if method != "sampling":
        idle |= dict.fromkeys(OF_SAMPLING, "the baseline sampling")
    if not METHODS[method].both_orders:
        idle["label_orders"] = "the baseline zero-shot"
    if not METHODS[method].has_base:
        idle |= dict.fromkeys(("backend", "quantization"), "baselines over a --base")
    elif backend != "transformers":
        idle["quantization"] = "--backend transformers (a GGUF file has its own precision)"
    return idle
