"""Questions and rows that the tests of decisions share."""

import math
from typing import Any

import numpy as np

from ct_guard.decisions import Choice, GradedDecision, Noul, Score, row_of

RISKY = Noul(instructions="Is this call risky?")
TEAM = Choice(
    instructions="Which team?",
    criteria={"billing": "Payments.", "technical": "Bugs.", "sales": None},
)
ANGER = Score(instructions="How angry?", criteria=["Calm.", "Cross.", "Furious."])


def graded(
    question: Noul | Choice | Score,
    count: int,
    *,
    slope: float = 0.5,
    offsets: tuple[float, ...] | None = None,
    seed: int = 0,
    by: str = "theirs",
) -> list[GradedDecision]:
    """Rows whose truth is P(label) = softmax(slope * score + offset)."""
    labels = list(_labels(question))
    rng = np.random.default_rng(seed)
    shift = np.zeros(len(labels)) if offsets is None else np.array(offsets)
    rows = []
    for at in range(count):
        scores = rng.normal(0, 3, len(labels))
        odds = np.exp(slope * scores + shift)
        rows.append(
            GradedDecision(
                where=f"rows.jsonl, line {at + 1}",
                name="asked",
                state=f"state {seed} {at}",
                question=question,
                label=str(rng.choice(labels, p=odds / odds.sum())),
                scores=dict(zip(labels, scores.tolist(), strict=True)),
                by=by,
            )
        )
    return rows


def as_row(row: GradedDecision) -> dict[str, Any]:
    """As it stands in a file."""
    return row_of(row.state, row.name, row.question, row.scores, row.by, row.label)


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def _labels(question: Noul | Choice | Score) -> tuple[str, ...]:
    from ct_guard.decisions import labels_of

    return labels_of(question)
