"""Answers by their contexts, and which of them are read together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.stems import stems

from .rows import Slot

__all__ = ["Answer", "Family", "Waiting", "groups", "parts", "related"]

GROUP_TOKENS = 512
"""About what is read together: enough to keep the processor busy, and no more, as every token
computes its attention to all cells in use and only then forgets those of other sequences."""

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Answer:
    """One item without a cache of its own."""

    number: int
    ids: Ids


@dataclass(frozen=True)
class Family:
    """Answers to one context, of which `stem` is what others begin with, too."""

    context: Ids
    answers: list[Answer]
    stem: tuple[int, ...] = ()

    @property
    def shared(self) -> bool:
        """Whether the context is read before its answers, and not with the one that it has."""
        return len(self.answers) > 1 or bool(self.stem)

    @property
    def own(self) -> Ids:
        """What follows the stem."""
        return self.context[len(self.stem) :]


Waiting = tuple[Family, Answer, Slot | None]
"""An answer, and the sequence that holds its context where several share that."""


def related(families: Mapping[tuple[int, ...], Family], free: int) -> list[Family]:
    """Families in the order in which they are read, with so many free sequences. Sharing a context
    takes one for it and one for an answer; sharing a stem one more."""
    if free < 2:
        return [
            Family(family.context, [answer])
            for family in families.values()
            for answer in family.answers
        ]
    alone = dict(families)
    behind = [
        replace(alone.pop(context), stem=stem.ids)
        for stem in stems(families)
        if stem.ids and free > 2
        for context in stem.contexts
    ]
    return [*alone.values(), *behind]


def groups(
    families: Sequence[Family], *, query: int, room: int, most: int
) -> Iterator[list[Family]]:
    """Families that are read together, all of one stem, in at most `room` cells and `most`
    sequences, with `query` tokens behind every answer. One that is too large is a group of its
    own."""
    group: list[Family] = []
    cells = rows = 0
    for family in families:
        more = len(family.own) + sum(len(answer.ids) + query for answer in family.answers)
        sequences = len(family.answers) + family.shared
        crowded = cells + more > min(
            room - len(family.stem), GROUP_TOKENS
        ) or rows + sequences > most - bool(family.stem)
        if group and (crowded or family.stem != group[0].stem):
            yield group
            group, cells, rows = [], 0, 0
        group.append(family)
        cells, rows = cells + more, rows + sequences
    if group:
        yield group


def parts(
    waiting: Sequence[Waiting], *, query: int, room: int, most: int
) -> Iterator[list[Waiting]]:
    """Answers that are read together, as in `groups`, at least one at a time."""
    part: list[Waiting] = []
    cells, room = 0, min(room, GROUP_TOKENS)
    for entry in waiting:
        family, answer, trunk = entry
        more = len(answer.ids) + query + (0 if trunk else len(family.context))
        if part and (cells + more > room or len(part) == most):
            yield part
            part, cells = [], 0
        part.append(entry)
        cells += more
    if part:
        yield part
