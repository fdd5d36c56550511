"""`ct-guard certify`: a threshold with a guarantee, into the estimator's manifest."""

from typing import TYPE_CHECKING, Any

import click

from .options import (
    config_of,
    disjoint_option,
    one_each_options,
    overwrite_option,
    remark,
    where_option,
)
from .shown import say

if TYPE_CHECKING:
    from ct_guard.certificates import Certificate
    from ct_guard.promises import (
        AnsweredWrong,
        CascadeCertificate,
        GroupCertificates,
        Handover,
        Promise,
    )

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
    "--alpha", type=float, multiple=True, default=(0.10,), show_default="0.1",
    help="Error rate allowed among the answered. Several: a promise each.",
)  # fmt: skip
@click.option(
    "--delta", type=float, default=0.10, show_default=True,
    help="Allowed probability that the claim is false.",
)  # fmt: skip
@click.option(
    "--by", metavar="COLUMN",
    help="A threshold for each value of the column; all hold at once with probability 1 - DELTA.",
)  # fmt: skip
@click.option(
    "--answered-wrong", is_flag=True,
    help="ALPHA bounds the share of *all* questions that are answered wrongly, on average over"
    " samples (conformal risk control), and not the error rate among the answered.",
)  # fmt: skip
@click.option(
    "--cascade", multiple=True, metavar="SCORED",
    help="Scored answers of a stronger model to the same questions; several in the order in which"
    " they would be asked. Certifies the cheapest cascade of the models: thresholds and order are"
    " chosen together, on a fifth of the questions, and tested on the others.",
)  # fmt: skip
@click.option(
    "--price", type=float, multiple=True, metavar="PRICE",
    help="With --cascade: what a call of each model costs, in their order. Default: 0 for SCORED, 1"
    " for the others.",
)  # fmt: skip
@click.option(
    "--abstain", type=float, default=10.0, show_default=True, metavar="COST",
    help="With --cascade: what a question without an answer costs, in the unit of the prices.",
)  # fmt: skip
@click.option(
    "--error", type=float, default=0.0, show_default=True, metavar="COST",
    help="With --cascade: what an answer costs that passes and is wrong.",
)  # fmt: skip
@click.option(
    "--fields", is_flag=True,
    help="A threshold on the P of fields (columns fields and fields_correct): at most ALPHA wrong"
    " of the fields that are filled in without review.",
)  # fmt: skip
@one_each_options
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
    will do. An estimator without a base model scores graded rows that have no such column itself.
    The questions must not be those that it was tuned, calibrated or tested on: checked by the hash
    of each question as far as the estimator records them.

    Rows must be independent: one answer a question. A file with several is refused, unless --drawn
    (one at random), --first or --where sample=0 says which one counts. The promise holds for
    questions, answering models and graders like those of SCORED, and no other.

    With --cascade it also keeps how often each stronger model is right where the one before is
    unsure, which the policy `cost` decides by.

    \b
    Examples:
      ct-guard certify certification.jsonl -e my-calibrated --alpha 0.1 --delta 0.1
      ct-guard score new.jsonl -e my-calibrated --policy certified -o scored.jsonl
      ct-guard certify small.jsonl -e my-calibrated --cascade large.jsonl --price 1 --price 20
      ct-guard certify records.jsonl -e my-fields --fields --alpha 0.02
      ct-guard certify -e my-calibrated --from-outcomes
    """
    from ct_guard.workflows import CertifyConfig, certify

    made = certify(source, config_of(CertifyConfig, options))
    held = [_show(found) for found in made.certificates]
    held += [_show_promise(found) for found in made.promises]
    for line in made.remarks:
        remark(line)
    say(f"Written to {made.folder}{'' if any(held) else ': that no threshold is certified'}")
    if not any(held):
        raise click.exceptions.Exit(NO_THRESHOLD)


def _show(found: "Certificate") -> bool:
    claim = (
        f"at most {found.alpha:.3g} wrong among the answered, with probability"
        f" {1 - found.delta:.3g} over the draw of {found.n:,} questions"
    )
    if found.threshold is None:
        say(f"No threshold: {claim}.\n{found.reason}", out=True)
        return False
    click.echo(
        f"P(correct) >= {found.threshold:.4f}: {claim}.\nAnswers {found.coverage:.1%} of them,"
        f" {found.errors:,} of {found.answered:,} wrong by the grades."
    )
    return True


def _show_promise(found: "Promise") -> bool:
    """Whether there is something that policies can go by."""
    if found.kind == "cascade":
        return _show_cascade(found)
    if found.kind == "groups":
        return _show_groups(found)
    if found.kind == "fields":
        say(f"{found.summary[0].upper()}{found.summary[1:]}.", out=True)
        return found.threshold is not None
    if found.kind == "answered_wrong":
        return _show_answered_wrong(found)
    if found.kind == "handover":
        _show_handover(found)
    return False


def _show_handover(found: "Handover") -> None:
    for name, following, step in zip(found.models, found.models[1:], found.steps, strict=False):
        say(f"How often {following} is right, by P(correct) of {name}:", out=True)
        for one in step:
            say(f"  from {one.low:.3f}: {one.right / one.rows:.0%} of {one.rows:,}", out=True)


def _show_cascade(found: "CascadeCertificate") -> bool:
    claim = (
        f"at most {found.alpha:.3g} wrong among all that is answered, with probability"
        f" {1 - found.delta:.3g} over the draw of {found.n:,} questions (learnt on"
        f" {found.learnt:,} others)"
    )
    if not found.stages:
        say(f"No cascade: {claim}.\n{found.reason}", out=True)
        return False
    order = ", then ".join(f"{one.model} from {one.threshold:.4f}" for one in found.stages)
    calls = ", ".join(
        f"{one.model} for {asked / found.n:.1%}"
        for one, asked in zip(found.stages, found.asked, strict=True)
    )
    say(
        f"Cascade {order}: {claim}.\nAnswers {found.coverage:.1%} of them, {found.errors:,} of"
        f" {found.answered:,} wrong by the grades; asks {calls} of the questions; costs"
        f" {found.cost:.4g} a question.",
        out=True,
    )
    return True


def _show_groups(found: "GroupCertificates") -> bool:
    say(
        f"At most {found.alpha:.3g} wrong among the answered of each {found.column}, all at once"
        f" with probability {1 - found.delta:.3g} (Bonferroni):",
        out=True,
    )
    for name, one in found.certificates.items():
        if one.threshold is None:
            say(f"  {name}: no threshold: {one.reason}", out=True)
        else:
            say(
                f"  {name}: P(correct) >= {one.threshold:.4f} answers {one.coverage:.1%} of"
                f" {one.n:,}, {one.errors:,} of {one.answered:,} wrong by the grades",
                out=True,
            )
    return any(one.threshold is not None for one in found.certificates.values())


def _show_answered_wrong(found: "AnsweredWrong") -> bool:
    claim = (
        f"at most {found.alpha:.3g} of all questions are answered wrongly, on average over the"
        f" draw of {found.n:,} questions"
    )
    if found.threshold is None:
        say(f"No threshold: {claim}.\n{found.reason}", out=True)
        return False
    say(
        f"P(correct) >= {found.threshold:.4f}: {claim}.\nAnswers {found.answered:,} of them,"
        f" {found.errors:,} wrong by the grades ({found.errors / found.n:.1%} of all).",
        out=True,
    )
    return True
