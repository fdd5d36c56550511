"""`ct-guard calibrate`: fit calibrators on a scored file."""

from typing import TYPE_CHECKING, Any

import click

from .decisions import calibrate_decisions
from .evidence import show_evidence, show_groups, weigh_evidence
from .options import (
    config_of,
    disjoint_option,
    given_options,
    overwrite_option,
    remark,
    shape_options,
    where_option,
)
from .progress import Terminal
from .shown import say, shown

if TYPE_CHECKING:
    from ct_guard.workflows import CalibrateResult

__all__ = ["KINDS", "command"]

ARGUMENTS = ("source", "output")
SHAPE = {"format", "question_field", "answer_field", "correct_field", "requests"}
"""Options that say how a file of graded answers is to be read."""
DECISIONS = {"estimator", "base", "backend", "alpha", "delta", "overwrite", "seed"}
"""Options that go with --decisions."""
KINDS = ("beta", "histogram", "isotonic", "platt", "temperature")


@click.command("calibrate")
@click.argument("source", metavar="SCORED")
@click.option(
    "-o", "--output", required=True, metavar="OUT",
    help="The new estimator directory; with --apply, the scored file to write.",
)  # fmt: skip
@click.option(
    "-e", "--estimator", metavar="DIR",
    help="The estimator that scored SCORED, to be copied with the new calibrators. With --apply"
    " it is read only: SCORED is refused if the estimator was tuned or tested on its questions.",
)  # fmt: skip
@click.option(
    "--apply", metavar="FILE",
    help="A scored file of other questions: OUT is a copy of it with confidences by the new"
    " calibrators.",
)  # fmt: skip
@click.option(
    "--kind", type=click.Choice(KINDS),
    help="Default: the least cross-validated log loss; below 1,000 labels platt, unless another is"
    " clearly better, and never isotonic.",
)  # fmt: skip
@click.option(
    "--per-model/--common", default=True, show_default=True,
    help="Answering models (column `model`) get a calibrator each, where the file names several.",
)  # fmt: skip
@click.option(
    "--min-labels", type=click.IntRange(10), default=100, show_default=True,
    help="Labels that a model needs for a calibrator of its own.",
)  # fmt: skip
@click.option(
    "--logprobs", is_flag=True,
    help="With -e, for a hybrid: also learn what an answering model's own log-probabilities (column"
    " `logprobs`: a list for each answer) say. Kept where it lowers the cross-validated log loss.",
)  # fmt: skip
@click.option(
    "--ood", is_flag=True,
    help="With -e: its base model also reads the rows, and the copy's scores say how unlike these"
    " rows an answer is (`ood`, a p-value). Without it the copy's do not: what the estimator was"
    " compared with before were other rows.",
)  # fmt: skip
@click.option(
    "--base", metavar="MODEL", help="With --ood or --decisions: where the base model lies now."
)
@click.option(
    "--backend", type=click.Choice(["transformers", "llama_cpp"]), default="transformers",
    show_default=True,
    help="With --ood or --decisions: what reads the rows. ood is measured on it alone, in the same"
    " number format.",
)  # fmt: skip
@click.option(
    "--evidence", metavar="KIND,…",
    help="What else rows say of their answers: agreement, stated, logprobs, model, wording,"
    " column:NAME (numbers), group:NAME (names). With -e it is weighed beside the raw score (column"
    " `logit`) of SCORED, and what that is made of (query, likelihood, perplexity, probe,"
    " question_prior: 'ct-guard score --readings') can be named, too. Without, it makes an"
    " estimator that needs no base model: SCORED is then any file of graded answers.",
)  # fmt: skip
@click.option(
    "--by", multiple=True, metavar="COLUMN",
    help="Calibrate within the values of this column (a domain, a language, a tenant) too, shrunk"
    " towards the whole; several go together. Kept where it lowers the cross-validated log loss.",
)  # fmt: skip
@click.option(
    "--force", is_flag=True, help="With --evidence: take numbers that look like the grade, too."
)
@click.option(
    "--decisions", is_flag=True,
    help="SCORED holds graded decisions: rows with `state`, `question` and the right `label`. With"
    " -e the estimator decides, and OUT is its copy with a calibrator for each question; without,"
    " rows carry `scores` or `probabilities` of another decision model, and OUT is a file for"
    " CalibratedDecisionModel.",
)  # fmt: skip
@click.option(
    "--alpha", type=float, metavar="SHARE",
    help="With --decisions: also certify thresholds above which at most this share is decided"
    " wrongly, on half of the states.",
)  # fmt: skip
@click.option(
    "--delta", type=float, default=0.10, show_default=True,
    help="With --alpha: allowed probability that the claim is false.",
)  # fmt: skip
@shape_options
@where_option("Only rows with this value.")
@disjoint_option("Refuse if SCORED shares a question with this file (your tuning or test rows).")
@overwrite_option()
@click.option("--seed", type=int, default=0, show_default=True, help="Of the folds.")
@click.pass_context
def command(
    context: click.Context,
    /,
    source: str,
    output: str,
    evidence: str | None,
    decisions: bool,
    **options: Any,
) -> None:
    """Fit calibrators on SCORED: what `ct-guard score` wrote (the column `logit`), with grades in
    `correct`. No model is needed, but with --ood.

    \b
    A copy of the estimator with the new calibrators:
      ct-guard calibrate calibration.jsonl -e my-estimator -o my-calibrated
    Another scored file with re-calibrated confidences, for instance of a new answering model:
      ct-guard calibrate calibration.jsonl -e my-estimator --apply test.jsonl -o calibrated.jsonl

    \b
    Beside the estimator's score, what else is known of answers; and within each domain:
      ct-guard calibrate calibration.jsonl -e my-estimator --evidence agreement,logprobs -o mine
      ct-guard calibrate calibration.jsonl -e my-estimator --by domain -o mine

    \b
    An estimator of what is known of answers, without any model:
      ct-guard calibrate graded.csv --evidence agreement,stated,model -o my-evidence

    \b
    Decisions (yes/no, choices, scores about a state), graded by what would have been right:
      ct-guard calibrate decisions.jsonl --decisions -e my-estimator --alpha 0.05 -o my-decisions

    Use questions of their own: none that the estimator was tuned on, none to certify or test with.
    What the estimator records is checked by the hash of each question, and refused; so are files
    named by --disjoint-from. Several answers to one question are welcome. Old certificates are left
    out of the copy, since they were of the old probabilities: certify again.
    """
    given = given_options(context)
    if decisions:
        _refuse(given - {"decisions", *DECISIONS, *ARGUMENTS}, "{} does not go with --decisions")
        calibrate_decisions(source, output, options)
        return
    _refuse(given & {"alpha", "delta"}, "{} is for --decisions; for answers there is certify")
    names = [name.strip() for name in (evidence or "").split(",") if name.strip()]
    if evidence is not None and not names:
        raise click.UsageError("--evidence names nothing: agreement, stated, logprobs, model, …")
    if evidence is None or options["estimator"] is not None:
        _refuse(given & SHAPE, "{} is for --evidence without --estimator: leave it out")
        _calibrate(source, output, {**options, "evidence": names})
        return
    _refuse(
        given - {"evidence", "by", "force", "overwrite", "seed", *SHAPE, *ARGUMENTS},
        "--evidence without --estimator makes an estimator of its own, of a file of graded answers:"
        " leave {} out, or name the estimator beside whose score it is weighed",
    )
    weigh_evidence(source, output, {**options, "evidence": names})


def _refuse(names: set[str], why: str) -> None:
    if names:
        raise click.UsageError(why.format(f"--{min(names).replace('_', '-')}"))


def _calibrate(source: str, output: str, options: dict[str, Any]) -> None:
    from ct_guard.workflows import CalibrateConfig, calibrate

    made = calibrate(source, output, config_of(CalibrateConfig, options), report=Terminal())
    _show(made, err=output == "-")
    if made.found is not None:
        show_evidence(made.found, "What each evidence adds, on questions that were held out")
    if made.grouped is not None:
        show_groups(made.grouped, err=output == "-")
    for line in made.remarks:
        remark(line)
    if output != "-":
        say(f"Written to {output}")


def _show(made: "CalibrateResult", *, err: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    found = made.calibration
    title = f"{made.labels:,} labels on {made.questions:,} questions"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("answering model", "calibrator", "labels", "why", "cross-validated log loss"):
        table.add_column(name, justify="right" if name == "labels" else "left")
    for model, state in found.calibrators.items():
        choice = found.choices[model]
        ordered = sorted(choice.log_loss.items(), key=lambda entry: entry[1])
        losses = ", ".join(f"{kind} {loss:.4f}" for kind, loss in ordered)
        which = "every other" if model == "*" and len(found.calibrators) > 1 else model
        table.add_row(
            escape(shown("every model" if which == "*" else which)),
            shown(state.kind), f"{state.n:,}", choice.reason, losses or "not compared",
        )  # fmt: skip
    Console(stderr=err).print(table)
