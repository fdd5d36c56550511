"""Graded answers made ready: split by question, hashed, rendered once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ct_guard.backends import Backend
from ct_guard.datasets.split import part_of
from ct_guard.errors import TuningError
from ct_guard.estimators.fields import FieldReader
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
    query: tuple[int, ...] = ()
    """What is asked behind it, where that is not the answer's own query: about one field."""

    @property
    def prefix(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What stands in front of the query, the same for all fields of an answer."""
        return self.context, self.answer


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
    reader: FieldReader | None = None,
) -> list[RenderedAnswer]:
    """Token ids of every row; with a `reader`, also one for each field that has a grade. Raises
    TuningError when the labels are all alike or an answer is empty."""
    rendered = []
    for row in rows:
        if not row.qa.answer.strip():
            raise TuningError(f"an empty answer cannot be learnt from: {row.qa.question!r}")
        asked = _of_fields(row, reader, backend)
        behind = max((len(ids) for ids, _ in asked), default=0)
        room = budget - max(0, behind - len(query.ids))
        made = render(row.qa, style=style, encoder=backend.encoder, query=query, budget=room)
        rendered.append(RenderedAnswer(made.context, made.answer, row.correct))
        rendered += [RenderedAnswer(made.context, made.answer, right, ids) for ids, right in asked]
    if len({row.correct for row in rendered}) < 2:
        raise TuningError(
            f"all {len(rows)} graded answers are alike: tuning needs right and wrong ones"
        )
    return rendered


def _of_fields(
    row: GradedAnswer, reader: FieldReader | None, backend: Backend
) -> list[tuple[tuple[int, ...], bool]]:
    """The query about each graded field, and the grade."""
    if reader is None or not row.fields:
        return []
    found = reader.questions(row.qa.model_copy(update={"fields": tuple(row.fields)}), backend)
    return [
        (query.ids, row.fields[leaf.path])
        for leaf, query in zip(found.leaves, found.queries, strict=True)
        if leaf.path in row.fields
    ]
