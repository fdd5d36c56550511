"""One call of `LlamaCppBackend.score`: which tokens are read when, and from which cache.

Answers to one context share its cells, and contexts those of what they begin with alike; rows of
any lengths are read together without padding.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.base import KV, Activation, Item, ScoreBatch, Want
from ct_guard.backends.collected import Collected
from ct_guard.errors import NonFiniteScoreError, UsageError
from ct_guard.query import Query

from .context import Context
from .families import Answer, Family, Waiting, groups, parts, related
from .rows import Reading, Row, Slot

__all__ = ["LoadedAdapter", "ScoreJob"]

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter in llama.cpp's memory, and where it acts."""

    handle: Any
    activation: Activation


@dataclass(frozen=True)
class _Branch:
    """An answer and the sequence that it is read into. `ids` are its context too, unless that has
    been read already."""

    answer: Answer
    slot: Slot
    ids: Ids


class ScoreJob:
    """One call of `score`: plans the reads and collects the results in the items' order."""

    def __init__(
        self,
        context: Context,
        items: Sequence[Item],
        query: Query,
        adapter: LoadedAdapter | None,
        want: frozenset[Want],
        max_rows: int | None = None,
    ) -> None:
        self.cache, self.items, self.max_rows = context, items, max_rows
        self.query, self.label_ids = _array(query.ids), _array(query.label_ids)
        self.handle = adapter.handle if adapter is not None else None
        self.everywhere = adapter is not None and adapter.activation == "all"
        self.labels = "labels" in want
        self.logprobs = "answer_logprobs" in want
        self.hidden = "hidden" in want
        self.query_hidden = "query_hidden" in want
        self.want = want
        self.made = Collected(len(items), len(query.label_ids))

    def run(self) -> ScoreBatch:
        families: dict[tuple[int, ...], Family] = {}
        live: list[tuple[int, Slot]] = []
        for number, item in enumerate(self.items):
            context, answer = _texts(item)
            if isinstance(item.context, KV) and self._continues(number, item.context):
                live.append((number, item.context.handle))
                continue
            family = families.setdefault(context, Family(_array(context), []))
            family.answers.append(Answer(number, _array(answer)))
        if self.labels:
            self._ask_live(live)
        read = related(families, self.cache.free_sequences)
        most, room = self._most_rows(), self.cache.room
        for group in groups(read, query=len(self.query), room=room, most=most):
            self._score(group)
        return self.made.batch(self.want)

    # --- behind a live KV -----------------------------------------------------------------------

    def _continues(self, number: int, kv: KV) -> bool:
        """Whether the KV serves this item; the base read it, so `all` has to read it again."""
        self.cache.check(kv.handle)
        if self.hidden:
            raise UsageError("hidden states are not kept in a KV: score the answer's text instead")
        if self.everywhere:
            return False
        self.made.answer_logprobs[number] = kv.answer_logprobs
        self.made.cached_tokens[number] = len(kv.ids)
        self.made.prefilled_tokens[number] = len(self.query) if self.labels else 0
        return True

    def _ask_live(self, live: list[tuple[int, Slot]]) -> None:
        most = max(1, min(self._most_rows(), self.cache.room // len(self.query)))
        for start in range(0, len(live), most):
            part = live[start : start + most]
            with self._freed() as slots:
                for _, slot in part:
                    slots.append(self.cache.fork(slot, self.cache.length(slot)))
                self._ask([number for number, _ in part], slots)

    # --- from the text --------------------------------------------------------------------------

    def _score(self, group: list[Family]) -> None:
        for at, family in enumerate(group):
            for place, answer in enumerate(family.answers):
                asked = len(self.query) if self.labels else 0
                whole = len(family.context) + len(answer.ids) + asked
                before = len(family.context) if place else len(family.stem) if at else 0
                self.made.cached_tokens[answer.number] = before
                self.made.prefilled_tokens[answer.number] = whole - before
        wanted = self.labels or self.hidden
        if self.logprobs or (wanted and not self.everywhere):
            hidden = self.hidden and not self.everywhere
            self._read_group(group, None, self.logprobs, hidden)
        if wanted and self.everywhere:
            self._read_group(group, self.handle, logprobs=False, hidden=self.hidden)

    def _read_group(self, group: list[Family], adapter: Any, logprobs: bool, hidden: bool) -> None:
        """Read contexts and answers, the adapter on for all of it or off, and ask the query where
        this reading serves it."""
        asked = self.labels and (adapter is not None or not self.everywhere)
        with self._freed() as trunks:
            room = self.cache.room
            shared = [family for family in group if family.shared]
            opened = self._trunks(shared, adapter, trunks)
            rows = [_trunk(slot, family, logprobs) for slot, family in opened]
            firsts = iter(self.cache.read(rows, adapter) if rows else [])
            room -= len(group[0].stem) + sum(len(row.ids) for row in rows)
            waiting: list[Waiting] = []
            remaining = iter(rows)
            for family in group:
                trunk = next(remaining).slot if family.shared else None
                if trunk is not None and logprobs:
                    for answer, value in zip(family.answers, next(firsts).logprobs, strict=True):
                        self.made.answer_logprobs[answer.number] = value[None]
                waiting += [(family, answer, trunk) for answer in family.answers]
            most = self._most_rows()
            for part in parts(waiting, query=len(self.query), room=room, most=most):
                with self._freed() as slots:
                    branches = [self._branch(*entry, slots) for entry in part]
                    self._read_branches(branches, adapter, logprobs, hidden, asked)

    def _trunks(
        self, families: list[Family], adapter: Any, slots: list[Slot]
    ) -> Iterator[tuple[Slot, Family]]:
        """A sequence for each context, which holds its stem already; all are added to `slots`."""
        stem = families[0].stem if families else ()
        if stem:
            slots.append(self.cache.new())
            self.cache.read([Row(slots[-1], _array(stem))], adapter)
        for family in families:
            slots.append(self.cache.fork(slots[0], len(stem)) if stem else self.cache.new())
            yield slots[-1], family

    def _branch(
        self, family: Family, answer: Answer, trunk: Slot | None, slots: list[Slot]
    ) -> _Branch:
        if trunk is None:
            slots.append(self.cache.new())
            return _Branch(answer, slots[-1], np.concatenate([family.context, answer.ids]))
        slots.append(self.cache.fork(trunk, len(family.context)))
        return _Branch(answer, slots[-1], answer.ids)

    def _read_branches(
        self, branches: list[_Branch], adapter: Any, logprobs: bool, hidden: bool, asked: bool
    ) -> None:
        numbers = [branch.answer.number for branch in branches]
        slots = [branch.slot for branch in branches]
        # The query joins the answer's row where the adapter is the same for both, and no hidden
        # state is wanted.
        joined = asked and not (hidden or self.query_hidden) and adapter is self.handle
        pick = self.label_ids if joined else None
        tail = self.query if joined else self.query[:0]
        rows = []
        for branch in branches:
            ids = branch.ids[:-1] if hidden else np.concatenate([branch.ids, tail])
            at, targets = _predicted(branch) if logprobs else (tail[:0], tail[:0])
            rows.append(Row(branch.slot, ids, at, targets, pick))
        readings = self._read(rows, adapter)
        if logprobs:
            for number, reading in zip(numbers, readings, strict=True):
                first = self.made.answer_logprobs[number]
                self.made.answer_logprobs[number] = np.concatenate([first, reading.logprobs])
        if joined:
            self._keep_labels(numbers, readings)
        if hidden:
            last = [Row(branch.slot, branch.ids[-1:]) for branch in branches]
            for number, reading in zip(
                numbers, self.cache.read(last, adapter, hidden=True), strict=True
            ):
                self.made.hidden[number] = reading.hidden
        if asked and not joined:
            self._ask(numbers, slots)

    def _read(self, rows: list[Row], adapter: Any) -> list[Reading]:
        """Read rows, of which some may be empty: an answer of one token whose hidden state is
        wanted has none before it."""
        full = [row for row in rows if len(row.ids)]
        readings = iter(self.cache.read(full, adapter) if full else ())
        return [next(readings) if len(row.ids) else Reading() for row in rows]

    # --- results --------------------------------------------------------------------------------

    def _ask(self, numbers: list[int], slots: list[Slot]) -> None:
        """The query behind what the base has read, the adapter on for these tokens only."""
        query = self.query
        if self.query_hidden:  # of the last token alone: every token of such a read gets logits
            self.cache.read([Row(slot, query[:-1]) for slot in slots], self.handle)
            query = query[-1:]
        rows = [Row(slot, query, pick=self.label_ids) for slot in slots]
        readings = self.cache.read(rows, self.handle, hidden=self.query_hidden)
        self._keep_labels(numbers, readings)
        if self.query_hidden:
            for number, reading in zip(numbers, readings, strict=True):
                self.made.query_hidden[number] = reading.hidden

    def _keep_labels(self, numbers: list[int], readings: list[Reading]) -> None:
        pairs = np.array([reading.logits for reading in readings], np.float32)
        if not np.isfinite(pairs).all():
            raise NonFiniteScoreError("the model returned NaN or infinite logits: check its file")
        self.made.label_logits[numbers] = pairs

    def _most_rows(self) -> int:
        free = max(1, self.cache.free_sequences)
        return min(free, self.max_rows) if self.max_rows else free

    @contextmanager
    def _freed(self) -> Iterator[list[Slot]]:
        """A list whose sequences end with the block."""
        slots: list[Slot] = []
        try:
            yield slots
        finally:
            for slot in slots:
                self.cache.free(slot)


def _texts(item: Item) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Context and answer. Raises UsageError when one of them has no tokens."""
    if isinstance(item.context, KV):
        start = item.context.answer_start
        context, answer = item.context.ids[:start], item.context.ids[start:]
    else:
        context, answer = item.context, item.answer
    for name, ids in (("an answer", answer), ("a context", context)):
        if not ids:
            raise UsageError(f"{name} without tokens cannot be scored")
    return context, answer


def _array(ids: Sequence[int]) -> Ids:
    return np.array(ids, np.int64)


def _trunk(slot: Slot, family: Family, logprobs: bool) -> Row:
    """A context that several answers go on from, behind its stem; at its end, the first token of
    each is predicted."""
    if not logprobs:
        return Row(slot, family.own)
    targets = np.array([answer.ids[0] for answer in family.answers])
    return Row(slot, family.own, np.full(len(targets), len(family.own) - 1), targets)


def _predicted(branch: _Branch) -> tuple[Ids, Ids]:
    """Where in a branch's row the answer's tokens are predicted, and which they are. Behind a
    shared context the first one has been predicted there."""
    answer = branch.answer.ids
    before = len(branch.ids) - len(answer)
    if before:
        return np.arange(before - 1, len(branch.ids) - 1), answer
    return np.arange(len(answer) - 1), answer[1:]
