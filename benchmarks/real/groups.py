"""`--by` on real answers: the worst group's ECE before and after, on questions apart."""

from dataclasses import dataclass

import numpy as np

from ct_guard.calibration import apply, choose, fit
from ct_guard.calibration.groups import apply_groups
from ct_guard.evaluation.groups import Answered, calibrate_groups
from ct_guard.evidence import fit_evidence, read_logits
from ct_guard.metrics import ece, ece_noise_floor, log_loss
from ct_guard.store import EVERY_MODEL

from .data import EXAMS, MMLU, SIMPLE, Data, splits, title_of
from .figures import Floats

__all__ = ["within_groups"]

FEW = 100
"""Test rows, over all splits, below which a group is not shown."""
CASES = (
    (MMLU, ("stated", "model", "column:mean_token_prob"), "domain"),
    (MMLU, ("stated", "column:mean_token_prob"), "model"),
    (EXAMS, ("agreement", "model", "wording"), "source"),
    (SIMPLE, ("column:tlm_score",), "domain"),
)


@dataclass(frozen=True)
class Judged:
    """Of the test rows of all splits together."""

    before: Floats
    after: Floats
    test: Data
    group: list[str]


def within_groups(data: dict[str, Data]) -> None:
    print(
        "\n| file, evidence, by | groups | worst group's ECE before (floor) | after (floor) |"
        " mean over groups before | after | log loss before | after |\n" + "|---" * 8 + "|"
    )
    for name, evidence, column in CASES:
        parts = [_judged(train, test, evidence, column) for train, test in splits(data[name])]
        named = f"{title_of(name)}: {', '.join(evidence)}, by {column}"
        print(_row(named, parts), flush=True)


def _groups(data: Data, column: str) -> list[str]:
    values = data.answers.model if column == "model" else data.answers.columns[column]
    return [str(value) for value in values]


def _judged(train: Data, test: Data, evidence: tuple[str, ...], column: str) -> Judged:
    found = fit_evidence(train.answers, train.correct, evidence, explain=False)
    kind = choose(found.logits, train.correct, train.answers.question).kind
    state = fit(kind, found.logits, train.correct)
    models = list(train.answers.model)
    rows = Answered(found.logits, train.correct, train.answers.question, models)
    grouped = calibrate_groups(rows, {column: _groups(train, column)}, {EVERY_MODEL: state})
    before = apply(state, read_logits(found.fitted, test.answers))
    group = _groups(test, column)
    return Judged(before, apply_groups(grouped.corrections, before, {column: group}), test, group)


def _row(named: str, parts: list[Judged]) -> str:
    before = np.concatenate([part.before for part in parts])
    after = np.concatenate([part.after for part in parts])
    correct = np.concatenate([part.test.correct for part in parts])
    group = np.array([one for part in parts for one in part.group])
    shown = [one for one in np.unique(group) if (group == one).sum() >= FEW]

    def by_group(p: Floats) -> list[tuple[float, float]]:
        some = [group == one for one in shown]
        return [(ece(p[at], correct[at]), ece_noise_floor(p[at], draws=50)) for at in some]

    figures = [by_group(before), by_group(after)]
    worst = [f"{error:.3f} ({floor:.3f})" for error, floor in map(max, figures)]
    means = [f"{np.mean([error for error, _ in some]):.3f}" for some in figures]
    losses = [f"{log_loss(np.clip(p, 1e-6, 1 - 1e-6), correct):.4f}" for p in (before, after)]
    return f"| {named} | {len(shown)} | {' | '.join((*worst, *means, *losses))} |"
