"""`ct-guard tune`: make an estimator from graded answers."""

from typing import TYPE_CHECKING, Any

import click

from ct_guard.methods import tuned

from .calibrate import KINDS
from .options import device_options, overwrite_option, quantization_option, resumable
from .progress import Terminal
from .shown import say, shown

if TYPE_CHECKING:
    from ct_guard.workflows import TuneResult

__all__ = ["command"]


@click.command("tune")
@click.argument("source", metavar="GRADED")
@click.option(
    "-b", "--base", required=True, metavar="MODEL",
    help="The language model underneath: a directory, a GGUF file, a hub id,"
    " hub:owner/name/FILE.gguf, or 'mini' (embedded).",
)  # fmt: skip
@click.option("-o", "--output", required=True, metavar="DIR", help="The new estimator's directory.")
@click.option(
    "--method", type=click.Choice(tuned()), default="query", show_default=True,
    help="query: a LoRA answers the uncertainty query. hybrid: that, and how likely the base finds"
    " the answer. probe: a small network reads the base's hidden state. lora_probe: the same"
    " through a LoRA.",
)  # fmt: skip
@click.option(
    "--recipe", type=click.Choice(["default", "small", "paper"]), default="default",
    show_default=True,
    help="Settings to start from; options change them one by one. small: for bases of a few million"
    " weights. paper: the reference's (8-bit base, activation all, the last of 5,000 steps of 4"
    " rows, temperature); see above.",
)  # fmt: skip
@click.option(
    "--activation", type=click.Choice(["query", "all"]),
    help="Tokens that the LoRA acts on. query: the query's only, so that the base's cache stays"
    " valid. all: every token, as in the paper. Default: query; all for lora_probe and the recipe"
    " paper.",
)  # fmt: skip
@click.option(
    "--validation", metavar="FILE", help="Graded rows to stop by. Default: drawn from GRADED."
)
@click.option(
    "--calibration", metavar="FILE",
    help="Graded rows to fit the calibrator on. Default: drawn from GRADED.",
)  # fmt: skip
@click.option(
    "--layer", metavar="FILE",
    help="For hybrid: graded rows, best several answers a question, to fit its layer on. Default:"
    " drawn from GRADED.",
)  # fmt: skip
@click.option(
    "--held-out", type=click.FloatRange(0.01, 0.3),
    help="Share of GRADED's questions for each of these that is drawn. Default: 0.15.",
)  # fmt: skip
@click.option(
    "--calibrator", type=click.Choice([*KINDS, "none"]),
    help="Fitted on the calibration rows; none: use ct-guard calibrate later. Default: platt.",
)  # fmt: skip
@click.option(
    "--label-orders", type=click.Choice(["fixed", "both"]),
    help="For query: 'both' also asks with the labels exchanged, and tunes and scores with the"
    " average; twice the query's tokens. Default: fixed.",
)  # fmt: skip
@click.option(
    "--fields", is_flag=True,
    help="For query and hybrid: learn from the grades of fields, too (column fields_correct, of"
    " ct-guard grade --fields): one LoRA answers for whole answers and for their fields, and both"
    " are calibrated.",
)  # fmt: skip
@click.option(
    "--question-prior", is_flag=True,
    help="For hybrid: its layer also reads a question prior, gradient boosting on the questions of"
    " the tuning and validation rows, common words of which it keeps in clear. Better for questions"
    " like those, not for others.",
)  # fmt: skip
@click.option(
    "--style", type=click.Choice(["auto", "raw", "chat_turn", "chat_user"]), default="auto",
    show_default=True,
    help="How question and answer become text; auto: chat_turn where the base is a chat model, for"
    " the recipe paper chat_user.",
)  # fmt: skip
@click.option("--rank", type=int, help="Of the LoRA. Default: 8.")
@click.option("--alpha", type=int, help="Its scale is alpha/rank. Default: 32.")
@click.option("--dropout", type=float, help="On the LoRA's input. Default: 0.1.")
@click.option(
    "--targets", metavar="NAMES",
    help="Layers that get a LoRA: 'all-linear', or names with commas. Default: all-linear (the"
    " recipe paper: query and value projections).",
)  # fmt: skip
@click.option(
    "--start", type=click.Choice(["zero", "probe"]),
    help="What the LoRA says before the first step: nothing, or what a linear probe says of the"
    " query's last hidden state, which is where small bases need to start. Default: probe with"
    " activation query (the recipe small: zero).",
)  # fmt: skip
@click.option("--learning-rate", type=float, help="Largest; falls as a cosine. Default: 1e-4.")
@click.option(
    "--batch-size", type=int,
    help="Rows a step, over all processes; answers to one question stay together. Default: 32.",
)  # fmt: skip
@click.option(
    "--accumulate", type=int,
    help="Parts that a step's rows are read in, to save memory; the step stays the same.",
)  # fmt: skip
@click.option("--steps", type=int, help="Most steps. Default: 500.")
@click.option("--warmup", type=int, help="Steps to the largest learning rate. Default: 20.")
@click.option("--weight-decay", type=float, help="Of AdamW. Default: 0.")
@click.option(
    "--loss", type=click.Choice(["cross_entropy", "brier"]),
    help="On the two labels. Default: cross_entropy.",
)  # fmt: skip
@click.option(
    "--pair-weight", type=float,
    help="Weight of a term that puts right answers above wrong ones to the same question."
    " Default: 0.",
)  # fmt: skip
@click.option(
    "--kl", type=click.Choice(["jsd", "forward", "reverse"]),
    help="Divergence from the base model over the answer's tokens, with activation all: Jensen-"
    "Shannon (default), KL(base || tuned), KL(tuned || base).",
)  # fmt: skip
@click.option(
    "--kappa", type=float,
    help="Its weight. Default: 1 with activation all. With query there is none: the base's"
    " distribution is untouched by construction.",
)  # fmt: skip
@click.option(
    "--twins", type=click.FloatRange(0, 1), default=0.0, show_default=True,
    help="Share of the tuning rows that get a twin whose answer praises itself or forges the"
    " query's ending. Whether they help is to be measured: on mini they do harm (SECURITY.md).",
)  # fmt: skip
@click.option(
    "--gradient-checkpointing", is_flag=True, default=None,
    help="With activation all: less memory, slower steps.",
)  # fmt: skip
@click.option("--evaluate-every", type=int, help="Steps; a checkpoint follows. Default: 50.")
@click.option(
    "--patience", type=int,
    help="Evaluations without a better validation log loss before it stops; 0: it never stops"
    " early. Default: 6.",
)  # fmt: skip
@click.option(
    "--keep", type=click.Choice(["best", "last"]),
    help="The evaluation whose weights are saved: the best by validation log loss (default), or the"
    " last (with --patience 0).",
)  # fmt: skip
@click.option(
    "--budget", type=click.IntRange(64), help="Most tokens of a row. Default: what the base reads."
)
@click.option("--seed", type=int, help="Of the parts, the weights and the order. Default: 0.")
@click.option("--revision", help="Of a base from the hub: a branch, tag or commit.")
@device_options
@quantization_option("Load the base in 8 or 4 bits (extra 'quant'). Default: none.")
@click.option(
    "--cache-gb", type=click.FloatRange(0), metavar="GB",
    help="Memory for what the base has read of context and answer, with activation query: it is"
    " read once, and not once an epoch. Default: a quarter of what is free.",
)  # fmt: skip
@click.option("--plot", metavar="FILE", help="The curves as .png or .svg (extra 'report').")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run to DIR stopped.")
@overwrite_option("Replace DIR, and an interrupted run to it.")
@click.option("-q", "--quiet", is_flag=True, help="No progress; the curves are in DIR.log.jsonl.")
def command(source: str, output: str, quiet: bool, **options: Any) -> None:
    """Make an estimator from GRADED answers (.jsonl, .csv, .parquet): how likely is an answer to be
    correct, as the base model reads it?

    \b
    Columns read:  question, answer, correct (true or false); optional: context, messages, model.
                   About 1,000 rows will do; several answers to one question are welcome.
    Parts:         by question: one to tune on, one to stop by, one to calibrate on (hybrid: one to
                   fit its layer on). Keep questions aside to certify and to test with.
    Beside DIR:    DIR.log.jsonl: the curves; DIR.run: the checkpoint, until the run is done.

    The recipe paper: the reference's settings, in ct-guard's loop. What still differs: question and
    answer are tokenized apart from the query; the divergence is over the graded answer's tokens,
    not the gold answer's; a step's 4 rows are those of all processes, not of each; answers to one
    question share a step; what an 8-bit base keeps in 16 bits is not cast to float32, and gradients
    are checkpointed on request only.

    \b
    Examples:
      ct-guard tune graded.jsonl --base mini --recipe small -o my-estimator
      ct-guard tune graded.jsonl -b meta-llama/Llama-3.2-1B-Instruct --method hybrid -o my-hybrid
      ct-guard tune graded.jsonl -b mistralai/Mistral-7B-v0.1 --recipe paper -o as-in-the-paper
      accelerate launch --num_processes 4 -m ct_guard tune graded.jsonl -b MODEL -o my-estimator
    """
    from ct_guard.workflows import TuneConfig, tune
    from ct_guard.workflows.tuning import Place

    with resumable(Place.of(output).checkpoint.exists, "the last evaluation"):
        made = tune(source, output, TuneConfig(**options), report=Terminal(quiet=quiet))
    if made is not None:
        _show(made)


def _show(made: "TuneResult") -> None:
    figures, calibrators = made.manifest.figures, made.manifest.calibrators
    for line in made.remarks:
        say(f"! {shown(line)}")
    kept = "last" if "last step" in figures else "best"
    loss, area = (figures[f"validation {name}"] for name in ("log loss", "AUROC"))
    click.echo(
        f"{kept.title()} step {figures[f'{kept} step']:,}: validation log loss {loss:.4f},"
        f" AUROC {'not defined' if area is None else f'{area:.3f}'}"
    )
    for state in calibrators.values():
        click.echo(f"Calibrated: {state.kind}, from {state.n:,} labels of other questions")
    click.echo(f"Written to {made.folder}\n")
    click.echo(f"  ct-guard score answers.jsonl --estimator {made.folder} -o scored.jsonl")
    if not calibrators:
        say(
            "! Its probabilities are uncalibrated: score graded rows of other questions and use"
            " ct-guard calibrate."
        )
