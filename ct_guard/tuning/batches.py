"""Batches of whole questions, in an order that the seed decides, and their parts."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .data import RenderedAnswer, group_by_question

__all__ = ["Batch", "batches"]


@dataclass(frozen=True)
class Batch:
    """Rows with the number of each one's question."""

    rows: list[RenderedAnswer]
    question: list[int]

    @property
    def pairs(self) -> int:
        """Pairs of a right and a wrong answer to one question."""
        right, wrong = Counter[int](), Counter[int]()
        for row, number in zip(self.rows, self.question, strict=True):
            (right if row.correct else wrong)[number] += 1
        return sum(right[number] * wrong[number] for number in right)

    @property
    def answer_tokens(self) -> int:
        return sum(len(row.answer) for row in self.rows)

    def split(self, count: int) -> list["Batch"]:
        """`count` parts of about as many rows, some of them perhaps empty, each of whole
        questions."""
        parts = [Batch([], []) for _ in range(count)]
        sizes = Counter(self.question)
        for number in sorted(sizes, key=lambda number: -sizes[number]):
            part = min(parts, key=lambda part: len(part.rows))
            mine = [at for at, other in enumerate(self.question) if other == number]
            part.rows.extend(self.rows[at] for at in mine)
            part.question.extend([number] * len(mine))
        return parts if count > 1 else [self]


def batches(rows: Sequence[RenderedAnswer], *, size: int, seed: int) -> Iterator[Batch]:
    """Endless batches of at least `size` rows (the last of a pass may have fewer), whole questions
    in random order. The same rows and seed give the same batches."""
    rng = random.Random(seed)  # noqa: S311
    groups = group_by_question(rows)
    while True:
        rng.shuffle(groups)
        batch = Batch([], [])
        for number, group in enumerate(groups):
            batch.rows.extend(group)
            batch.question.extend([number] * len(group))
            if len(batch.rows) >= size:
                yield batch
                batch = Batch([], [])
        if batch.rows:
            yield batch
