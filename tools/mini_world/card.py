"""The model card of the embedded model: every figure, and the command that made it."""

from collections.abc import Mapping

from .estimators import ALPHA, DELTA, DESCRIPTION, TEST, Report

__all__ = ["card"]

COLUMNS = (
    "AUROC",
    "AUROC within kinds",
    "pair accuracy",
    "ECE",
    "log loss",
    "coverage at 10% risk",
)

RESTS_ON = """\
The tuned query and the question prior (trees over the question's text, without any model) say
whether this kind of question is one that the model knows; the query also says, where the model has
learnt to check, whether this answer is right. The likelihood of the given answer says whether it is
the one that the model believes. The hybrid is a logistic layer over all three; where the model
believes something wrong, only the kind of the question can tell, and of kinds that tuning never
showed, nothing can."""


def card(
    reports: Mapping[str, Report],
    default: str,
    command: str,
    parameters: int,
) -> str:
    """Markdown, from the figures on the test split by estimator."""
    any_report = reports[default].figures
    head = f"""# mini: the embedded miniature model

A Llama-architecture model of {parameters / 1e6:.2f} million parameters, trained from scratch, with
its estimators of P(correct). It exists so that every path of ct-guard runs on real weights without
a download. It knows {DESCRIPTION}; about anything else its figures mean nothing, and it says so.

Made by `{command}` (seeded; the world, the training, the grading and the splits are all in
`tools/mini_world`). Trained, tuned and tested on questions of that world only; the splits share
no person and no operands.

## Figures

Test split: {any_report["rows"]:,} graded answers (one greedy and four sampled ones a question) to
{any_report["questions"]:,} questions, {any_report["accuracy of the answers"]:.0%} of them correct;
{any_report["questions with pairs"]:,} questions have a right and a wrong answer. `mini` is
`mini:{default}`: the best cross-fitted log loss on the calibration split.

| estimator | {" | ".join(COLUMNS)} | certified threshold |
|---|{"---|" * (len(COLUMNS) + 1)}
"""
    rows = ""
    for name, report in reports.items():
        cells = " | ".join(_cell(report.figures[column]) for column in COLUMNS)
        threshold = report.certificate.threshold
        shown = f"{threshold:.3f}" if threshold is not None else "none exists"
        rows += f"| `mini:{name}` | {cells} | {shown} |\n"
    behind = "".join(
        f"| {name} | {' | '.join(found.cells)} |\n"
        for name, found in reports[default].behind.items()
    )
    tail = f"""
A certified threshold promises: at most {ALPHA:.0%} wrong among the answered, with probability
{1 - DELTA:.0%} over the draw of the certification rows. It holds for greedy answers of this model
to questions drawn like those; not for another mix of questions or another answering model. What
passes the threshold of `mini`, of greedy answers:

| slice | answers | answered | wrong among the answered |
|---|---|---|---|
{behind}
{_kept(reports[default])}The held-out parts were shown to the base model, and to no estimator: a
skill, a relation, a level of difficulty, a phrasing of answers. Where more than {ALPHA:.0%} of
these are wrong, the promise did not carry over, and nobody should expect it to.

## What P(correct) rests on

{RESTS_ON}
"""
    return head + rows + tail


def _kept(report: Report) -> str:
    """What is to be said where the test does not bear the promise out."""
    found = report.behind.get(TEST)
    if found is None or found.errors <= ALPHA * found.answered:
        return ""
    share = found.errors / found.answered
    return f"""On the test split {share:.1%} of the answered are wrong, more than was promised: the
draw of certification rows was a lucky one, of which the promise allows for {DELTA:.0%}.
`benchmarks/RESULTS.md` counts how many there are in a thousand draws.

"""


def _cell(value: float | int | str | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"
