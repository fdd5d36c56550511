"""`ct-guard calibrate`: fit calibrators on a scored file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import assignments
from .progress import rows_progress
from .shown import say, shown

if TYPE_CHECKING:
    from ct_guard.adapters import LogisticLayer
    from ct_guard.evaluation.calibrate import Calibration

__all__ = ["KINDS", "command"]

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
    "--apply", "target", metavar="FILE",
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
@click.option("--base", metavar="MODEL", help="With --ood: where the base model lies now.")
@click.option(
    "--backend", type=click.Choice(["transformers", "llama_cpp"]), default="transformers",
    show_default=True,
    help="With --ood: what reads the rows. ood is measured on it alone, in the same number format.",
)  # fmt: skip
@click.option("--where", multiple=True, metavar="COLUMN=VALUE", help="Only rows with this value.")
@click.option(
    "--disjoint-from", multiple=True, metavar="FILE",
    help="Refuse if SCORED shares a question with this file (your tuning or test rows).",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the folds.")
def command(
    source: str,
    output: str,
    estimator: str | None,
    target: str | None,
    kind: str | None,
    per_model: bool,
    min_labels: int,
    logprobs: bool,
    ood: bool,
    base: str | None,
    backend: str,
    where: tuple[str, ...],
    disjoint_from: tuple[str, ...],
    overwrite: bool,
    seed: int,
) -> None:
    """Fit calibrators on SCORED: what `ct-guard score` wrote (the column `logit`), with grades in
    `correct`. No model is needed, but with --ood.

    \b
    A copy of the estimator with the new calibrators:
      ct-guard calibrate calibration.jsonl -e my-estimator -o my-calibrated
    Another scored file with re-calibrated confidences, for instance of a new answering model:
      ct-guard calibrate calibration.jsonl -e my-estimator --apply test.jsonl -o calibrated.jsonl

    Use questions of their own: none that the estimator was tuned on, none to certify or test with.
    What the estimator records is checked by the hash of each question, and refused; so are files
    named by --disjoint-from. Several answers to one question are welcome. Old certificates are left
    out of the copy, since they were of the old probabilities: certify again.
    """
    from ct_guard.adapters import load_manifest, locate
    from ct_guard.estimators import load_estimator
    from ct_guard.evaluation import read_scored
    from ct_guard.evaluation.calibrate import calibrate
    from ct_guard.evaluation.disjoint import (
        check_apart,
        check_scored_by,
        check_unused,
        question_keys,
    )
    from ct_guard.evaluation.novelty import novelty_of
    from ct_guard.evaluation.provider import fit_provider
    from ct_guard.evaluation.recalibrate import apply_to_file, save_calibration

    if estimator is None and target is None:
        raise click.UsageError(
            "give --estimator DIR (to copy it with new calibrators) or --apply FILE (to write a"
            " scored file)"
        )
    if logprobs and (estimator is None or target is not None):
        raise click.UsageError(
            "--logprobs needs --estimator DIR, without --apply: it is the copy that learns"
        )
    if ood and (estimator is None or target is not None):
        raise click.UsageError("--ood needs --estimator DIR, without --apply: it is for the copy")
    if not ood and base is not None:
        raise click.UsageError("--base is for --ood: leave it out, no other reads a model")
    scored = read_scored(source, need="logit", where=assignments(where))
    for other in disjoint_from:
        check_apart(scored, other, question_keys(other))
    said = []
    folder = locate(estimator) if estimator is not None else None
    if folder is not None:
        manifest = load_manifest(folder)
        check_scored_by(scored, manifest)
        if logprobs and manifest.method != "hybrid":
            raise click.UsageError(
                f"--logprobs: {estimator} is of the method {manifest.method}, not a hybrid"
            )
        said = check_unused(scored, folder, manifest, allowed=("calibration", "certification"))
        if target is None and (manifest.certificates or manifest.figures):
            said.append(
                f"The certificates and figures of {estimator} were of its old probabilities: they"
                " are left out of the copy; certify and evaluate it anew."
            )
    elif not disjoint_from:
        said.append(
            "Without the estimator its tuning questions are not known: overlap with them was not"
            " checked. -e DIR has it checked; --disjoint-from FILE checks against a file."
        )
    if scored.loss:
        said.append(scored.loss)
    if scored.ungraded:
        said.append(f"{scored.ungraded:,} scored rows have no grade and do not count.")
    found = calibrate(scored, kind=kind, per_model=per_model, min_labels=min_labels, seed=seed)
    provider: dict[str, LogisticLayer] = {}
    if logprobs:
        provider, learnt = fit_provider(scored, found.calibrators, min_labels=min_labels, seed=seed)
        said += learnt
    if target is not None:
        done = apply_to_file(
            found.calibrators,
            target,
            output,
            fitted_on=scored.question_keys(),
            overwrite=overwrite,
        )
        said.append(f"{done:,} rows have a new confidence; the old columns are kept as input_….")
    elif folder is not None:
        novelty = None
        if ood:
            loaded = load_estimator(folder, base=base, backend=backend)
            with rows_progress("Reading", len(scored)) as work:
                compared = novelty_of(loaded, scored, on_rows=work.advance)
            novelty = (compared, loaded.arithmetic)
        elif manifest.novelty is not None:
            said.append("The copy measures no ood: --ood compares with these rows.")
        save_calibration(
            folder,
            Path(output),
            found.calibrators,
            scored,
            provider=provider,
            novelty=novelty,
            overwrite=overwrite,
        )
    questions = len(scored.question_keys())
    _show(found, f"{len(scored):,} labels on {questions:,} questions", err=output == "-")
    for line in [*found.remarks, *said]:
        say(f"! {shown(line)}")
    if output != "-":
        say(f"Written to {output}")


def _show(found: "Calibration", title: str, *, err: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

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
