"""Rows of tokens as a tree: what several begin with stands in it once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tree"]


@dataclass(frozen=True)
class Tree:
    """n tokens, each behind its parent and in front of its children: a row is the way from a root
    to an end."""

    ids: NDArray[np.int64]
    """[n]."""
    parents: NDArray[np.int64]
    """[n], each lower than its token's own number; -1: a row begins there."""
    ends: NDArray[np.int64]
    """[rows]: the last token of each."""

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Tree":
        """Rows of one token or more, in any order."""
        known: dict[tuple[int, int], int] = {}
        ends = []
        for row in rows:
            at = -1
            for token in row:
                at = known.setdefault((at, token), len(known))
            ends.append(at)
        pairs = np.array(list(known), np.int64).reshape(-1, 2)
        return cls(pairs[:, 1], pairs[:, 0], np.array(ends, np.int64))

    @property
    def ancestors(self) -> NDArray[np.bool_]:
        """[n, n]: which tokens each one stands behind, itself among them."""
        seen = np.eye(len(self.ids), dtype=np.bool_)
        line = self.trunk
        seen[:line, :line] = np.tri(line, dtype=np.bool_)
        for at, parent in enumerate(self.parents[line:].tolist(), line):
            if parent >= 0:
                seen[at] |= seen[parent]
        return seen

    @property
    def depths(self) -> NDArray[np.int64]:
        """[n]: how many tokens each one stands behind in its row."""
        found: list[int] = []
        for parent in self.parents.tolist():
            found.append(found[parent] + 1 if parent >= 0 else 0)
        return np.array(found, np.int64)

    @property
    def through(self) -> list[list[int]]:
        """[n]: numbers of the rows that each token belongs to."""
        behind = self.ancestors[self.ends]
        return [np.flatnonzero(behind[:, at]).tolist() for at in range(len(self.ids))]

    @property
    def trunk(self) -> int:
        """How many tokens from the first on stand in one line, each behind the one before it."""
        forks = np.flatnonzero(self.parents != np.arange(-1, len(self.ids) - 1))
        return int(forks[0]) if len(forks) else len(self.ids)
