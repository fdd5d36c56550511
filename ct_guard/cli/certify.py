"""`ct-guard certify`: a threshold with a guarantee, into the estimator's manifest."""

from typing import TYPE_CHECKING, Any

import click

from .options import config_of, disjoint_option, overwrite_option, remark, where_option
from .shown import say

if TYPE_CHECKING:
    from ct_guard.workflows import CertifyResult

__all__ = ["NO_THRESHOLD", "command"]

NO_THRESHOLD = 4


@click.command(
    "certify",
    epilog="Exit codes: 0 certified; 2 usage or unreadable input; 4 no threshold could be"
    " certified.",
)
@click.argument("source", metavar="[SCORED]", required=False)
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
@where_option("Only rows with this value, for instance sample=0.")
@click.option(
    "--grader-false-pass", default=None, metavar="SHARE|GRADED",
    help="Share of wrong answers that the grader calls correct (better its upper bound, and among"
    " answers with a high confidence), or a graded file that 'ct-guard audit' has measured this of:"
    " then its upper bound. Certifies alpha (1 - SHARE) of the grades.",
)  # fmt: skip
@disjoint_option("Refuse if SCORED shares a question with this file.")
@overwrite_option()
@click.option(
    "--from-outcomes", is_flag=True,
    help="Instead of SCORED: the outcomes that arrived after the certificate became void ('ct-guard"
    " outcomes add').",
)  # fmt: skip
@click.option(
    "--book", metavar="FILE",
    help="SQLite file of answers and outcomes. Default: monitor.sqlite in DIR.",
)  # fmt: skip
@click.option(
    "--reuse", is_flag=True,
    help="Also take rows whose outcomes the test of a certificate, or an attempt to certify, has"
    " counted; DELTA does not allow for that.",
)  # fmt: skip
def command(source: str | None, **options: Any) -> None:
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
    Examples:
      ct-guard certify certification.jsonl -e my-calibrated --alpha 0.1 --delta 0.1
      ct-guard score new.jsonl -e my-calibrated --policy certified -o scored.jsonl
      ct-guard certify -e my-calibrated --from-outcomes
    """
    from ct_guard.workflows import CertifyConfig, certify

    made = certify(source, config_of(CertifyConfig, options))
    _show(made)
    for line in made.remarks:
        remark(line)
    say(f"Written to {made.folder}")
    if made.certificate.threshold is None:
        raise click.exceptions.Exit(NO_THRESHOLD)


def _show(made: "CertifyResult") -> None:
    found = made.certificate
    claim = (
        f"at most {found.alpha:.3g} wrong among the answered, with probability"
        f" {1 - found.delta:.3g} over the draw of {found.n:,} questions"
    )
    if found.threshold is None:
        say(f"No threshold: {claim}.\n{found.reason}", out=True)
        return
    click.echo(
        f"P(correct) >= {found.threshold:.4f}: {claim}.\nAnswers {found.coverage:.1%} of them,"
        f" {found.errors:,} of {found.answered:,} wrong by the grades."
    )
