"""Graded answers made ready: split by question, hashed, rendered once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ct_guard.backends import Backend
from ct_guard.datasets.split import part_of
from ct_guard.errors import TuningError
from ct_guard.query import ContextStyle, Query, render
from ct_guard.records import GradedAnswer

__all__ = [
    "RenderedAnswer",
    "group_by_question",
    "render_graded",
    "split_by_question",
]


@dataclass(frozen=True)
class RenderedAnswer:
    """A graded answer as token ids."""

    context: tuple[int, ...]
    answer: tuple[int, ...]
    correct: bool


def split_by_question(
    rows: Sequence[GradedAnswer], shares: Mapping[str, float], seed: int = 0
) -> dict[str, list[GradedAnswer]]:
    """Splits by name, in which all answers to one question stay together. Which split a question
    falls into depends on its text and the seed alone, not on the other rows."""
    splits: dict[str, list[GradedAnswer]] = {name: [] for name in shares}
    for row in rows:
        splits[part_of(row.qa.question_key(), shares, str(seed))].append(row)
    return splits


def group_by_question(rows: Sequence[RenderedAnswer]) -> list[list[RenderedAnswer]]:
    """Answers to one question side by side; questions in order of first appearance."""
    groups: dict[tuple[int, ...], list[RenderedAnswer]] = {}
    for row in rows:
        groups.setdefault(row.context, []).append(row)
    return list(groups.values())


def render_graded(
    rows: Sequence[GradedAnswer],
    *,
    style: ContextStyle,
    backend: Backend,
    query: Query,
    budget: int,
) -> list[RenderedAnswer]:
    """Token ids of every row. Raises TuningError when the labels are all alike or an answer is
    empty."""
    if len({row.correct for row in rows}) < 2:
        raise TuningError(
            f"all {len(rows)} graded answers are alike: tuning needs right and wrong ones"
        )
    rendered = []
    for row in rows:
        made = render(row.qa, style=style, encoder=backend, query=query, budget=budget)
        if not row.qa.answer.strip():
            raise TuningError(f"an empty answer cannot be learnt from: {row.qa.question!r}")
        rendered.append(RenderedAnswer(made.context, made.answer, row.correct))
    return rendered
