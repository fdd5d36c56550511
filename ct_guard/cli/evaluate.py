"""`ct-guard evaluate`: figures of scored files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import config_of, overwrite_option, where_option
from .progress import Terminal
from .shown import say, shown

if TYPE_CHECKING:
    from ct_guard.evaluation import Evaluation
    from ct_guard.workflows import EvaluateConfig

__all__ = ["command"]


@click.command("evaluate")
@click.argument("sources", metavar="SCORED...", nargs=-1, required=True)
@click.option("--by", metavar="COLUMN", help="Also measure inside each value of this column.")
@click.option(
    "--compare-column", multiple=True, metavar="COLUMN",
    help="Put what the (first) file has already beside the estimator, as a stated confidence or a"
    " judge's mark: AUROC, ECE, log loss, coverage at 10% risk, and the differences. Repeatable.",
)  # fmt: skip
@where_option("Only rows with this value; several must all hold.")
@click.option(
    "--train", metavar="FILE", help="Scored, graded rows of other questions to fit the question"
    " prior on; otherwise it is cross-fitted on the rows at hand.",
)  # fmt: skip
@click.option(
    "--fields", "of_fields", is_flag=True,
    help="The fields of answers in JSON (columns fields and fields_correct), beside the whole"
    " answer's P as that of each field. For one SCORED, with -e and --where.",
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
    " the questions it was tuned, calibrated or certified on. For one SCORED. An estimator without"
    " a base model scores rows that nobody has scored.",
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
@overwrite_option()
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
    sources: tuple[str, ...], as_json: bool, quiet: bool, of_fields: bool, **options: Any
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
    Beside the confidence that the answering model stated, and a trust score:
      ct-guard evaluate scored.jsonl --compare-column verbalized --compare-column tlm_score
    The fields of records that were graded and scored with --fields:
      ct-guard evaluate records.jsonl --fields
    The figures that `ct-guard inspect` and the model card of `ct-guard push` show:
      ct-guard evaluate test.jsonl -e my-calibrated --by kind --record
    """
    import json

    from ct_guard.workflows import EvaluateConfig, evaluate

    config = config_of(EvaluateConfig, options)
    if of_fields:
        _evaluate_fields(sources, config, as_json=as_json)
        return
    made = evaluate(sources, config, report=Terminal(quiet=quiet))
    if as_json:
        click.echo(json.dumps(made.evaluation.to_json(), indent=1))
    else:
        _show(made.evaluation)
        if config.plot is not None:
            say(f"Drawn to {config.plot}", out=True)
    if made.folder is not None:
        say(f"Written to {made.folder}")


def _evaluate_fields(sources: tuple[str, ...], config: "EvaluateConfig", *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from rich.console import Console

    from ct_guard.workflows.fielding import evaluate_fields

    from .tables import field_table

    if len(sources) > 1:
        raise click.UsageError("--fields goes with one scored file: evaluate the others apart")
    found, said = evaluate_fields(sources[0], config)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=1))
        return
    Console().print(field_table(found))
    for line in said:
        say(f"! {shown(line)}", out=True)


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
