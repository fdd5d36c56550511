"""`ct-guard evaluate`: figures of scored files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import assignments, place_of
from .progress import showing
from .shown import say, shown

if TYPE_CHECKING:
    from ct_guard.evaluation import Evaluation
    from ct_guard.evaluation.scored import Need

__all__ = ["command"]


@click.command("evaluate")
@click.argument("sources", metavar="SCORED...", nargs=-1, required=True)
@click.option("--by", metavar="COLUMN", help="Also measure inside each value of this column.")
@click.option(
    "--where", multiple=True, metavar="COLUMN=VALUE",
    help="Only rows with this value; several must all hold.",
)  # fmt: skip
@click.option(
    "--train", metavar="FILE", help="Scored, graded rows of other questions to fit the question"
    " prior on; otherwise it is cross-fitted on the rows at hand.",
)  # fmt: skip
@click.option("--prior/--no-prior", default=True, show_default=True, help="The question prior.")
@click.option(
    "--paper-ece", is_flag=True,
    help="Also the ECE as the paper's code computes it (folded), for parity.",
)  # fmt: skip
@click.option("--smooth-ece", is_flag=True, help="Also the smooth ECE (needs the 'report' extra).")
@click.option(
    "-e", "--estimator", metavar="DIR",
    help="Take P(correct) from the logits by the calibrators of this estimator, and say how many of"
    " the questions it was tuned, calibrated or certified on. For one SCORED.",
)  # fmt: skip
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="OUT",
    help="Reliability and risk-coverage diagrams, .png or .svg (needs the 'report' extra).",
)  # fmt: skip
@click.option(
    "--record", is_flag=True,
    help="With -e: write the main figures with their intervals, and a hash of every question as the"
    " split 'test', into the estimator's manifest. Refused for questions that it has seen.",
)  # fmt: skip
@click.option(
    "-o", "--output", metavar="DIR",
    help="With --record: write a copy of the estimator there; default: into the estimator itself.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option(
    "--json", "as_json", is_flag=True,
    help="Print JSON instead of tables, with the points of the diagrams.",
)  # fmt: skip
@click.option(
    "--resamples", type=click.IntRange(100), default=1000, show_default=True,
    help="Bootstrap resamples, by question.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(
    sources: tuple[str, ...],
    by: str | None,
    where: tuple[str, ...],
    train: str | None,
    prior: bool,
    paper_ece: bool,
    smooth_ece: bool,
    estimator: str | None,
    plot: Path | None,
    record: bool,
    output: str | None,
    overwrite: bool,
    as_json: bool,
    resamples: int,
    seed: int,
    quiet: bool,
) -> None:
    """Evaluate files that `ct-guard score` wrote and that have grades in a column `correct`.

    Ranking (AUROC), calibration (ECE, with the value that noise alone would give), proper scores,
    selective prediction, and pair accuracy where questions have a right and a wrong answer; each
    with a 95% bootstrap interval over questions. That of ECE is of ECE on as many rows, noise
    included: compare it to the noise floor, not to 0. No model is needed.

    Beside every estimator stands the question prior: gradient boosting on the question's text,
    without model or answer. What does not beat it has learnt which questions are hard, at most.

    \b
    Several files are the same rows, scored by different estimators: they are matched by `id` (or
    question and answer), and compared to the first, row by row.
      ct-guard evaluate hybrid.jsonl likelihood.jsonl --by kind --plot curves.png
    The figures that `ct-guard inspect` and the model card of `ct-guard push` show:
      ct-guard evaluate test.jsonl -e my-calibrated --by kind --record
    """
    from ct_guard.adapters import load_manifest, locate
    from ct_guard.evaluation import Options, evaluate_files, read_scored
    from ct_guard.evaluation.disjoint import check_scored_by, check_unused, seen_before
    from ct_guard.evaluation.figures import METRICS, PAPER_ECE, SMOOTH_ECE
    from ct_guard.evaluation.probabilities import with_confidences_of
    from ct_guard.evaluation.record import TEST, save_figures

    if plot is not None:
        from ct_guard.evaluation.plot import check_plot

        check_plot(plot)
    if estimator is not None and len(sources) > 1:
        raise click.UsageError("--estimator goes with one SCORED: evaluate the others apart")
    if record and estimator is None:
        raise click.UsageError("--record needs --estimator DIR: the figures go into its manifest")
    if output is not None and not record:
        raise click.UsageError("--output goes with --record: it is the estimator with the figures")
    need: Need = "confidence" if estimator is None else "logit"
    chosen = assignments(where)
    keep = (by,) if by is not None else ()
    files = [read_scored(source, need=need, keep=keep, where=chosen) for source in sources]
    said: list[str] = []
    folder = target = None
    if estimator is not None:
        folder = locate(estimator)
        target = place_of(folder, output) if record else None
        manifest = load_manifest(folder)
        check_scored_by(files[0], manifest)
        files = [with_confidences_of(manifest, files[0])]
        said = (
            check_unused(files[0], folder, manifest, allowed=(TEST,))
            if record
            else seen_before(files[0], folder, manifest)
        )
    more = [PAPER_ECE] * paper_ece + [SMOOTH_ECE] * smooth_ece
    with showing("Evaluating", unit="figures", quiet=quiet) as work:
        found = evaluate_files(
            files,
            Options(metrics=(*METRICS, *more), by=by, prior=prior, resamples=resamples, seed=seed),
            train=read_scored(train, need=need) if train is not None else None,
            on_part=work.reach,
        )
    found.remarks.extend(said)
    if plot is not None:
        from ct_guard.evaluation.plot import draw

        draw(found, plot)
    if as_json:
        import json

        click.echo(json.dumps(found.to_json(), indent=1))
    else:
        _show(found)
        if plot is not None:
            say(f"Drawn to {plot}", out=True)
    if folder is not None and target is not None:
        save_figures(folder, target, found, by=by, where=where, overwrite=overwrite)
        say(f"Written to {target}")


def _show(found: "Evaluation") -> None:
    from rich.console import Console

    from .tables import evaluation_tables

    console = Console()
    for table in evaluation_tables(found, console.width):
        console.print(table)
    for one in found.estimators:
        for line in one.remarks:
            name = f"{one.name}: " if len(found.estimators) > 1 else ""
            console.print(shown(f"! {name}{line}"), markup=False, highlight=False)
    for line in found.remarks:
        console.print(shown(f"! {line}"), markup=False, highlight=False)
