"""The model card of the embedded model: every figure, and the command that made it."""

from collections.abc import Mapping

from .estimators import ALPHA, DELTA, DESCRIPTION

__all__ = ["card"]

COLUMNS = (
    "AUROC",
    "AUROC within kinds",
    "pair accuracy",
    "ECE",
    "log loss",
    "coverage at 10% risk",
)


def card(
    reports: Mapping[str, Mapping[str, float | int | str | None]],
    thresholds: Mapping[str, float | None],
    default: str,
    command: str,
    parameters: int,
) -> str:
    """Markdown, from the figures on the test split by estimator."""
    any_report = next(iter(reports.values()))
    head = f"""# mini: the embedded miniature model

A Llama-architecture model of {parameters / 1e6:.2f} million parameters, trained from scratch, with
its estimators of P(correct). It exists so that every path of ct-guard runs on real weights without
a download. It knows {DESCRIPTION}; about anything else its figures mean nothing, and it says so.

Made by `{command}` (seeded; the world, the training, the grading and the splits are all in
`examples/mini_world`). Trained, tuned and tested on questions of that world only; the splits share
no person and no operands.

## Figures

Test split: {any_report["rows"]:,} graded answers (one greedy and four sampled ones a question) to
{any_report["questions"]:,} questions, {any_report["accuracy of the answers"]:.0%} of them correct;
{any_report["questions with pairs"]:,} questions have a right and a wrong answer. `mini` is
`mini:{default}`: the best log loss on rows that neither tuned nor calibrated it.

| estimator | {" | ".join(COLUMNS)} | certified threshold |
|---|{"---|" * (len(COLUMNS) + 1)}
"""
    rows = ""
    for name, report in reports.items():
        cells = " | ".join(_cell(report[column]) for column in COLUMNS)
        threshold = thresholds[name]
        shown = f"{threshold:.3f}" if threshold is not None else "none exists"
        rows += f"| `mini:{name}` | {cells} | {shown} |\n"
    tail = f"""
A certified threshold promises: at most {ALPHA:.0%} wrong among the answered, with probability
{1 - DELTA:.0%} over the draw of the certification rows. It holds for greedy answers of this model
to questions drawn like those; not for another mix of questions or another answering model.

## What P(correct) rests on

The tuned query mostly says whether this *kind* of question is one that the model knows. The
likelihood of the given answer says whether this is the answer that the model believes. The hybrid
is a logistic layer over both; where the model believes something wrong, only the first can tell.
"""
    return head + rows + tail


def _cell(value: float | int | str | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"
