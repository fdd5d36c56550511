"""What is read in one call, how it is laid into batches, and what comes out of it."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.tree import Tree
from ct_guard.errors import NonFiniteScoreError

__all__ = ["EVERY_LOGIT", "Layout", "Reading", "Row", "Slot", "token_logprobs"]

EVERY_LOGIT = slice(None)
_BLOCK = 1 << 16
"""Logits in one step of the softmax: they stay in the processor's cache."""


def _no_ids() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


def _no_values() -> NDArray[np.float32]:
    return np.zeros(0, np.float32)


class Owner(Protocol):
    """A cache of sequences."""

    dropped: deque[int]
    """Numbers of sequences that nobody refers to any more, freed with the next call."""


class Slot:
    """One sequence in the cache of `owner`. One that is no longer referenced is freed with the next
    call; `Context.free` does it at once."""

    def __init__(self, owner: Owner, number: int) -> None:
        self.owner, self.number = owner, number
        self._dropped = owner.dropped

    def __del__(self) -> None:
        # Runs in any thread, so it only leaves a note.
        if self.number >= 0:
            self._dropped.append(self.number)


@dataclass(frozen=True)
class Row:
    """Tokens to append to one sequence, and what is wanted of them."""

    slot: Slot
    ids: NDArray[np.int64]
    at: NDArray[np.int64] = field(default_factory=_no_ids)
    """Offsets into `ids`, ascending; one may stand there several times."""
    targets: NDArray[np.int64] = field(default_factory=_no_ids)
    """For each offset, the token whose log-probability behind it is wanted."""
    pick: NDArray[np.int64] | slice | None = None
    """Entries of the logits behind the last token."""


@dataclass
class Reading:
    """What a row gave; empty for what was not wanted."""

    logprobs: NDArray[np.float32] = field(default_factory=_no_values)
    """[targets], natural log."""
    logits: NDArray[np.float32] = field(default_factory=_no_values)
    """[picked]."""
    hidden: NDArray[np.float32] = field(default_factory=_no_values)
    """[d], last layer, last token."""


@dataclass(frozen=True)
class Layout:
    """Rows laid out as one batch. All arrays are [tokens of all rows], but `starts` and `ends`
    [rows], and `members`."""

    rows: Sequence[Row]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    tokens: NDArray[np.int64]
    positions: NDArray[np.int64]
    wanted: NDArray[np.bool_]
    """Which tokens get logits."""
    counts: NDArray[np.int32]
    """To how many sequences each token is appended."""
    members: NDArray[np.int32]
    """Numbers of these, token after token."""

    @classmethod
    def of(cls, rows: Sequence[Row], lengths: Sequence[int], *, every_output: bool) -> "Layout":
        """Rows end to end; `lengths` are what their sequences hold already."""
        sizes = np.array([len(row.ids) for row in rows])
        ends = np.cumsum(sizes)
        starts = ends - sizes
        total = int(ends[-1])
        wanted = np.full(total, every_output)
        for start, end, row in zip(starts, ends, rows, strict=True):
            wanted[start + row.at] = True
            wanted[end - 1] |= row.pick is not None
        return cls(
            rows=rows,
            starts=starts,
            ends=ends,
            tokens=np.concatenate([row.ids for row in rows]),
            positions=np.arange(total) + np.repeat(lengths - starts, sizes),
            wanted=wanted,
            counts=np.ones(total, np.int32),
            members=np.repeat([row.slot.number for row in rows], sizes).astype(np.int32),
        )

    @classmethod
    def of_tree(cls, rows: Sequence[Row], length: int) -> "Layout":
        """Rows behind the same `length` tokens; what several begin with is read once, for all of
        their sequences. Of each, only what follows its last token is wanted."""
        tree = Tree.of([row.ids.tolist() for row in rows])
        numbers = np.array([row.slot.number for row in rows], np.int32)
        wanted = np.zeros(len(tree.ids), np.bool_)
        wanted[tree.ends] = True
        return cls(
            rows=rows,
            starts=tree.ends,
            ends=tree.ends + 1,
            tokens=tree.ids,
            positions=length + tree.depths,
            wanted=wanted,
            counts=np.array([len(some) for some in tree.through], np.int32),
            members=np.concatenate([numbers[some] for some in tree.through]),
        )

    def portions(self, tokens: int, outputs: int) -> Iterator[slice]:
        """Slices of at most so many tokens, and so many of them with logits."""
        counts = np.concatenate([[0], np.cumsum(self.wanted)])
        start = 0
        while start < len(self.tokens):
            fits = int(np.searchsorted(counts, counts[start] + outputs, side="right")) - 1
            end = min(start + tokens, fits)
            yield slice(start, end)
            start = end


def token_logprobs(
    logits: NDArray[np.float32], places: NDArray[np.int64], targets: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Log-probabilities [n] of `targets` [n] in the rows `places` [n] (ascending, without gaps) of
    `logits` [m, V]. Raises NonFiniteScoreError."""
    low, high = int(places[0]), int(places[-1]) + 1
    normalisers = np.empty(high - low, np.float32)
    step = max(1, _BLOCK // logits.shape[1])
    for start in range(low, high, step):
        block = logits[start : min(start + step, high)]
        highest = block.max(axis=1)
        total = np.exp(block - highest[:, None]).sum(axis=1)
        normalisers[start - low : start - low + len(block)] = highest + np.log(total)
    chosen: NDArray[np.float32] = logits[places, targets] - normalisers[places - low]
    if not np.isfinite(chosen).all():
        raise NonFiniteScoreError("the model returned NaN or infinite log-probabilities")
    return chosen
