"""`ct-guard tune`: make an estimator from graded answers."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .calibrate import KINDS
from .shown import say

if TYPE_CHECKING:
    from ct_guard.adapters import BaseModelRef, Manifest
    from ct_guard.tuning import Progress

__all__ = ["command"]

METHODS = ("query", "probe", "lora_probe", "hybrid")
HELD_OUT = 0.15


@click.command("tune")
@click.argument("source", metavar="GRADED")
@click.option(
    "-b", "--base", required=True, metavar="MODEL",
    help="The language model underneath: a directory, a GGUF file, a hub id,"
    " hub:owner/name/FILE.gguf, or 'mini' (embedded).",
)  # fmt: skip
@click.option("-o", "--output", required=True, metavar="DIR", help="The new estimator's directory.")
@click.option(
    "--method", type=click.Choice(METHODS), default="query", show_default=True,
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
    help="Layers that get a LoRA: 'all-linear', or names with commas. Default: the library's for"
    " the architecture (query and value projections).",
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
    "--twins", type=click.FloatRange(0, 1),
    help="Share of the tuning rows that get a twin whose answer praises itself or forges the"
    " query's ending. Default: 0.2.",
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
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--dtype", default="auto", show_default=True, help="auto, float32, bfloat16, float16."
)
@click.option(
    "--quantization", type=click.Choice(["none", "8bit", "4bit"]),
    help="Load the base in 8 or 4 bits (extra 'quant'). Default: none.",
)  # fmt: skip
@click.option(
    "--cache-gb", type=click.FloatRange(0), metavar="GB",
    help="Memory for what the base has read of context and answer, with activation query: it is"
    " read once, and not once an epoch. Default: a quarter of what is free.",
)  # fmt: skip
@click.option("--plot", metavar="FILE", help="The curves as .png or .svg (extra 'report').")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run to DIR stopped.")
@click.option("--overwrite", is_flag=True, help="Replace DIR, and an interrupted run to it.")
@click.option("-q", "--quiet", is_flag=True, help="No progress; the curves are in DIR.log.jsonl.")
def command(
    source: str,
    base: str,
    output: str,
    method: str,
    recipe: str,
    plot: str | None,
    resume: bool,
    overwrite: bool,
    quiet: bool,
    **options: Any,
) -> None:
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
    from ct_guard.adapters import check_target
    from ct_guard.backends.transformers import TransformersBackend
    from ct_guard.datasets import read_graded
    from ct_guard.errors import OutputExistsError
    from ct_guard.evaluation.plot import check_plot
    from ct_guard.files.locking import alone
    from ct_guard.tuning.checkpoint import read_history
    from ct_guard.tuning.estimator import make_estimator, parts_of
    from ct_guard.tuning.parts import divide
    from ct_guard.tuning.processes import processes
    from ct_guard.tuning.watch import nothing_learnt

    from .curves import draw_curves, write_line, write_log
    from .progress import tuning_progress
    from .recipes import check_options, chosen_of, config_of, style_for

    target = Path(output)  # without the slash of "my-estimator/"
    runs, log = Path(f"{target}.run"), Path(f"{target}.log.jsonl")
    group = processes()
    if plot is not None:
        check_plot(Path(plot))
    if group.first:  # for the whole command, from before its run is looked at
        target.parent.mkdir(parents=True, exist_ok=True)
        click.get_current_context().with_resource(alone(target))
    check_target(target, overwrite=overwrite)
    checkpoint = runs / "checkpoint.safetensors"
    # Hidden ones are half-written checkpoints, of a process that was killed.
    others = [path for path in runs.glob("*") if not path.name.startswith(".")]
    if others and not checkpoint.exists():
        raise OutputExistsError(
            f"{runs} holds something else than a tuning run, whose folder it would be: move it, or"
            " choose another name for the estimator"
        )
    if checkpoint.exists() and not resume and not overwrite:
        raise OutputExistsError(
            f"{runs} holds an interrupted run: go on with --resume, or begin anew with --overwrite"
        )
    chosen = chosen_of(recipe, options)
    calibrator = None if chosen["calibrator"] == "none" else chosen["calibrator"]
    needed = parts_of(method, calibrate=calibrator is not None)
    check_options(method, recipe, base, needed, options)
    config = config_of(method, recipe, options)
    graded = read_graded(source)
    given = {name: read_graded(options[name]) for name in needed if options[name] is not None}
    drawn = {name: options["held_out"] or HELD_OUT for name in needed if name not in given}
    parts = divide(graded, given, drawn, seed=config.seed)
    if group.first:
        for one in (graded, *given.values()):
            for remark in one.remarks():
                click.echo(f"Note: {remark}", err=True)
        click.echo(_parts_line(parts), err=True)
        if config.activation == "query" and method in ("query", "hybrid"):
            click.echo(
                "The LoRA acts on the query's tokens only: the base model's own distribution is"
                " untouched by construction, so no divergence from it is added to the loss.",
                err=True,
            )
    where, reference = _base(base, options["revision"])
    quantization = chosen["quantization"]
    backend = TransformersBackend.load(
        where,
        revision=options["revision"],
        device=group.device if group.device and options["device"] == "auto" else options["device"],
        dtype=options["dtype"],
        quantization=None if quantization == "none" else quantization,
    )
    history = read_history(checkpoint) if resume else []
    if group.first and resume:
        write_log(log, history)
    elif group.first:
        log.unlink(missing_ok=True)
        checkpoint.unlink(missing_ok=True)
    group.wait()
    learnt_from = [row.correct for row in parts["validation"]]
    cache_gb = options["cache_gb"]
    with tuning_progress(config.steps, shown=group.first and not quiet) as (
        on_rows,
        on_step,
        show,
    ):

        def on_progress(progress: "Progress") -> None:
            show(progress)
            history.append(progress)
            if group.first:
                write_line(log, progress)
                said = nothing_learnt(history, learnt_from, learning_rate=config.learning_rate)
                if said is not None:
                    say(f"! {said}")

        try:
            manifest = make_estimator(
                backend,
                parts,
                target,
                base=reference.model_copy(
                    update={
                        "fingerprint": backend.fingerprint,
                        "digests": (backend.digest,),
                        "quantization": None if quantization == "none" else quantization,
                    }
                ),
                method=method,
                style=style_for(backend, recipe, options["style"]),
                question_prior=options["question_prior"],
                config=config,
                calibrator=calibrator,
                twins=chosen["twins"],
                runs=runs,
                resume=resume,
                overwrite=overwrite,
                on_step=on_step,
                on_progress=on_progress,
                cache_bytes=None if cache_gb is None else int(cache_gb * 1e9),
                on_rows=on_rows,
            )
        except KeyboardInterrupt:
            if checkpoint.exists():
                click.echo(
                    "Stopped. The same command with --resume goes on from the last evaluation.",
                    err=True,
                )
            raise
    if manifest is None:
        return
    _export_for_llama_cpp(where, target)
    shutil.rmtree(runs, ignore_errors=True)
    if plot is not None:
        draw_curves(Path(plot), history)
    _show(manifest, target, config.keep)


def _base(base: str, revision: str | None) -> tuple[str | Path, "BaseModelRef"]:
    """Where the base model is loaded from, and how the manifest names it: a directory or file of
    the user's by its full path."""
    from ct_guard.adapters import EMBEDDED, BaseModelRef, base_place

    where = base_place(base, revision=revision)
    if base != EMBEDDED and Path(base).exists():
        return where, BaseModelRef(id=str(Path(base).resolve()))
    return where, BaseModelRef(id=base, revision=revision)


def _export_for_llama_cpp(base: str | Path, target: Path) -> None:
    """The adapter's file beside its weights, where the base is a GGUF file: that is where its user
    will serve it."""
    from ct_guard.backends.dequantised import origin

    if origin(base) is None or not (target / "adapter").is_dir():
        return
    from ct_guard.errors import ExportError
    from ct_guard.export import export_estimator

    try:
        export_estimator(target, only="adapter")
    except ExportError as error:
        click.echo(f"! No adapter.gguf for --backend llama_cpp: {error}", err=True)


def _parts_line(parts: dict[str, Any]) -> str:
    shown = []
    for name, rows in parts.items():
        right = sum(row.correct for row in rows) / len(rows)
        shown.append(f"{name} {len(rows):,} rows ({right:.0%} right)")
    return f"Parts, by question: {', '.join(shown)}."


def _show(manifest: "Manifest", target: Path, kept: str) -> None:
    loss, area = (manifest.figures[name] for name in ("validation log loss", "validation AUROC"))
    click.echo(
        f"{kept.title()} step {manifest.figures[f'{kept} step']:,}: validation log loss {loss:.4f},"
        f" AUROC {'not defined' if area is None else f'{area:.3f}'}"
    )
    for state in manifest.calibrators.values():
        click.echo(f"Calibrated: {state.kind}, from {state.n:,} labels of other questions")
        if manifest.novelty is None:
            click.echo("! The calibration rows are of too few questions for ood.", err=True)
    click.echo(f"Written to {target}\n")
    click.echo(f"  ct-guard score answers.jsonl --estimator {target} -o scored.jsonl")
    if not manifest.calibrators:
        click.echo(
            "! Its probabilities are uncalibrated: score graded rows of other questions and use"
            " ct-guard calibrate.",
            err=True,
        )
