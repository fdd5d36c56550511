"""`ct-guard certify`: a threshold with a guarantee, into the estimator's manifest."""

from contextlib import suppress
from pathlib import Path

import click

from .options import assignments, place_of
from .shown import say, shown

__all__ = ["NO_THRESHOLD", "command"]

NO_THRESHOLD = 4


@click.command(
    "certify",
    epilog="Exit codes: 0 certified; 2 usage or unreadable input; 4 no threshold could be"
    " certified.",
)
@click.argument("source", metavar="SCORED")
@click.option(
    "-e", "--estimator", required=True, metavar="DIR", help="The estimator that scored SCORED."
)
@click.option(
    "-o", "--output", metavar="DIR",
    help="Write a copy of the estimator there; default: the certificate goes into DIR itself.",
)  # fmt: skip
@click.option(
    "--alpha", type=float, default=0.10, show_default=True,
    help="Error rate allowed among the answered.",
)  # fmt: skip
@click.option(
    "--delta", type=float, default=0.10, show_default=True,
    help="Allowed probability that the claim is false.",
)  # fmt: skip
@click.option("--first", is_flag=True, help="Take the first graded answer to each question.")
@click.option(
    "--where", multiple=True, metavar="COLUMN=VALUE",
    help="Only rows with this value, for instance sample=0.",
)  # fmt: skip
@click.option(
    "--grader-false-pass", default=None, metavar="SHARE|GRADED",
    help="Share of wrong answers that the grader calls correct (better its upper bound, and among"
    " answers with a high confidence), or a graded file that 'ct-guard audit' has measured this of:"
    " then its upper bound. Certifies alpha (1 - SHARE) of the grades.",
)  # fmt: skip
@click.option(
    "--disjoint-from", multiple=True, metavar="FILE",
    help="Refuse if SCORED shares a question with this file.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
def command(
    source: str,
    estimator: str,
    output: str | None,
    alpha: float,
    delta: float,
    first: bool,
    where: tuple[str, ...],
    grader_false_pass: str | None,
    disjoint_from: tuple[str, ...],
    overwrite: bool,
) -> None:
    """Find the most lenient threshold t of which "at most ALPHA wrong among answers with P(correct)
    >= t" is certain at level 1 - DELTA, and write it into the estimator's manifest.

    SCORED is what `ct-guard score` wrote, with grades in `correct`. P(correct) is made from its
    column `logit` by the calibrators of the estimator, so that a file scored before calibration
    will do. The questions must not be those that it was tuned, calibrated or tested on: checked by
    the hash of each question as far as the estimator records them.

    Rows must be independent: one answer a question. A file with several is refused, unless
    --where sample=0 or --first says which one counts. The promise holds for questions, answering
    models and graders like those of SCORED, and no other.

    \b
    Example:
      ct-guard certify certification.jsonl -e my-calibrated --alpha 0.1 --delta 0.1
      ct-guard score new.jsonl -e my-calibrated --policy certified -o scored.jsonl
    """
    from ct_guard.adapters import load_manifest, locate
    from ct_guard.evaluation import read_scored
    from ct_guard.evaluation.certify import certify, first_answers, independent, save_certificate
    from ct_guard.evaluation.disjoint import (
        check_apart,
        check_scored_by,
        check_unused,
        question_keys,
    )

    false_pass = _share(grader_false_pass)
    folder = locate(estimator)
    target = place_of(folder, output)
    manifest = load_manifest(folder)
    scored = read_scored(source, need="logit", where=assignments(where))
    check_scored_by(scored, manifest)
    for other in disjoint_from:
        check_apart(scored, other, question_keys(other))
    said = check_unused(scored, folder, manifest, allowed=("certification",))
    rows = first_answers(scored) if first else independent(scored)
    certificate = certify(rows, manifest, alpha=alpha, delta=delta, grader_false_pass=false_pass)
    save_certificate(folder, target, certificate, rows, overwrite=overwrite)
    for known in manifest.certificates:
        if (known.alpha, known.delta) == (alpha, delta) and known.threshold is not None:
            said.append(
                f"It replaces the certificate of before for the same alpha and delta:"
                f" P(correct) >= {known.threshold:.4f}."
            )

    claim = (
        f"at most {alpha:.3g} wrong among the answered, with probability {1 - delta:.3g} over the"
        f" draw of {certificate.n:,} questions"
    )
    if certificate.threshold is None:
        say(f"No threshold: {claim}.\n{certificate.reason}", out=True)
    else:
        click.echo(
            f"P(correct) >= {certificate.threshold:.4f}: {claim}.\nAnswers"
            f" {certificate.coverage:.1%} of them, {certificate.errors:,} of"
            f" {certificate.answered:,} wrong by the grades."
        )
    if certificate.threshold is not None and rows.correct.all():
        said.append(
            f"All {len(rows):,} graded answers are right: if wrong ones were left out of the file,"
            " nothing is promised."
        )
    if grader_false_pass is None:
        said.append(
            "The grades are taken as the truth: where the grader may pass wrong answers, have some"
            " checked (ct-guard audit) and give --grader-false-pass."
        )
    elif false_pass > 0:
        said.append(f"Of wrong answers, the grader is taken to pass {false_pass:.1%}.")
    if scored.loss:
        said.append(scored.loss)
    if scored.ungraded:
        said.append(
            f"{scored.ungraded:,} scored rows have no grade and do not count: if they are left out"
            " because they are hard to grade, the promise does not cover their like."
        )
    models = {row.model for row in rows.graded if row.model is not None}
    if len(models) > 1:
        said.append(f"The promise is for this mix of {len(models)} answering models, not for each.")
    for line in said:
        say(f"! {shown(line)}")
    say(f"Written to {target}")
    if certificate.threshold is None:
        raise click.exceptions.Exit(NO_THRESHOLD)


def _share(given: str | None) -> float:
    """A share, or the upper bound that the audit of a graded file has for it."""
    from ct_guard.datasets import load_data_manifest
    from ct_guard.errors import UsageError

    with suppress(ValueError):
        return float(given or 0.0)
    if not Path(str(given)).is_file():
        raise UsageError(f"--grader-false-pass: {given!r} is neither a number nor a graded file")
    audit = load_data_manifest(str(given)).audit
    if audit is None:
        raise UsageError(
            f"{given}: no person has checked its grader: draw rows with 'ct-guard audit {given}"
            " check.csv --draw 100', or give the share as a number"
        )
    if audit.false_pass.high >= 1.0:
        raise UsageError(
            f"{given}: its audit has too few verdicts to bound the false-pass rate: check more rows"
        )
    return audit.false_pass.high
