"""One call of `TransformersBackend.score`: which tokens are read when, and from which cache."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ct_guard.errors import BackendError, NonFiniteScoreError, UsageError
from ct_guard.query import Query

from .base import KV, Adapter, Item, Manner, ScoreBatch, Want
from .collected import Collected
from .forward import Decoder, Past, Step, live, select
from .stems import Stem, stems

__all__ = ["Engine", "ScoreJob"]

SHARE_FROM = 0.15
"""Contexts share a prefilled stem, and answers a context, when that saves this share of the call's
tokens."""


Row = tuple[int, tuple[int, ...], tuple[int, ...]]
"""An item's number, its context and its answer."""

_Opening = tuple[tuple[int, ...], tuple[int, ...]]
"""A stem, and a context that begins with it."""


class Engine(Protocol):
    """What a job needs of the backend that runs it."""

    @property
    def decoder(self) -> Decoder: ...

    @property
    def manner(self) -> Manner: ...

    @property
    def window(self) -> int | None: ...

    def adapted(self, name: str | None) -> AbstractContextManager[None]: ...

    def in_batches(
        self, rows: Sequence[int], lengths: Sequence[int], work: Callable[[list[int]], None]
    ) -> None: ...


class ScoreJob:
    """One call of `score`: plans the batches and collects the results in the items' order."""

    def __init__(
        self,
        backend: "Engine",
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> None:
        self.backend, self.items, self.query, self.adapter = backend, items, query, adapter
        self.labels = "labels" in want
        self.logprobs = "answer_logprobs" in want
        self.hidden = "hidden" in want
        self.query_hidden = "query_hidden" in want
        self.want = want
        self.made = Collected(len(items), len(query.label_ids))

    @torch.inference_mode()
    def run(self) -> ScoreBatch:
        if self.backend.manner == "whole" and self.labels and self._on_query:
            raise BackendError(
                "this base model is read without a cache, over which an adapter on the query alone"
                " acts: use one with activation 'all', or another base"
            )
        contexts: dict[tuple[int, ...], list[int]] = {}
        for number, item in enumerate(self.items):
            if isinstance(item.context, KV):
                self._continue(number, item.context)
            elif not item.answer:
                raise UsageError("an answer without tokens cannot be scored")
            else:
                contexts.setdefault(item.context, []).append(number)
        total = sum(len(c) + len(self.items[n].answer) for c, ns in contexts.items() for n in ns)
        found = stems(contexts)
        saved = sum(len(context) * (len(numbers) - 1) for context, numbers in contexts.items())
        saved += sum(len(stem.ids) * (len(stem.contexts) - 1) for stem in found)
        together = self.backend.manner == "together"
        if together and total and saved >= SHARE_FROM * total and self._fits_window(contexts):
            self._shared(contexts, found)
        else:
            self._apart([(n, c, self.items[n].answer) for c, ns in contexts.items() for n in ns])
        return self._result()

    def _fits_window(self, contexts: dict[tuple[int, ...], list[int]]) -> bool:
        window = self.backend.window
        longest = max(map(len, contexts)) + max(len(item.answer) for item in self.items)
        return window is None or longest + len(self.query.ids) <= window

    # --- three ways to a prefix, one way on from it ---------------------------------------------

    def _continue(self, number: int, kv: KV) -> None:
        """The prefix was read while the answer was generated."""
        if self.hidden:
            raise UsageError("hidden states are not kept in a KV: score the answer's text instead")
        if kv.answer_start == len(kv.ids):
            raise UsageError("an answer without tokens cannot be scored")
        past = live(kv)
        if self._everywhere or self.backend.manner == "whole":
            self._apart([(number, kv.ids[: kv.answer_start], kv.ids[kv.answer_start :])])
            return
        self.made.answer_logprobs[number] = kv.answer_logprobs
        self.made.cached_tokens[number] = len(kv.ids)
        self.made.prefilled_tokens[number] = len(self._asked)
        if self.labels:
            self._ask([number], past)

    def _apart(self, rows: list[Row]) -> None:
        """Context and answer are read together, in batches of like length."""
        rows = sorted(rows, key=lambda row: len(row[1]) + len(row[2]))
        lengths = [len(context) + len(answer) + len(self.query.ids) for _, context, answer in rows]
        window = self.backend.window
        beyond = window is not None and max(lengths, default=0) > window
        if beyond or self.backend.manner != "together":
            for row in rows:
                self._read_batch([row])
            return
        self.backend.in_batches(
            range(len(rows)), lengths, lambda batch: self._read_batch([rows[at] for at in batch])
        )

    def _read_batch(self, batch: list[Row]) -> None:
        numbers = [number for number, _, _ in batch]
        prefixes = [(*context, *answer) for _, context, answer in batch]
        self.made.prefilled_tokens[numbers] = [
            len(prefix) + len(self._asked) for prefix in prefixes
        ]
        if self._asks_base:
            self._read_base(numbers, prefixes, None)
        if self._everywhere and (self.labels or self.hidden):
            with self.backend.adapted(self._everywhere):
                self._read_adapted(numbers, prefixes, None)

    def _shared(self, contexts: dict[tuple[int, ...], list[int]], found: list[Stem]) -> None:
        """Every stem is read once, and every context; answers go on from its cache, in batches by
        length. Contexts of one stem stay together."""
        alone = [((), context) for stem in found if not stem.ids for context in stem.contexts]
        behind = [stem for stem in found if stem.ids]
        behind.sort(key=lambda stem: max(map(len, stem.contexts)))
        together = [(stem.ids, context) for stem in behind for context in stem.contexts]
        longest = [max(map(len, stem.contexts)) for stem in behind for _ in stem.contexts]
        alone.sort(key=lambda row: len(row[1]))
        lengths = [len(context) for _, context in alone]
        for rows, sizes in ((alone, lengths), (together, longest)):
            self._in_groups(rows, sizes, contexts)

    def _in_groups(
        self,
        rows: Sequence[_Opening],
        lengths: Sequence[int],
        contexts: dict[tuple[int, ...], list[int]],
    ) -> None:
        self.backend.in_batches(
            range(len(rows)),
            lengths,
            lambda batch: self._read_group([rows[at] for at in batch], contexts),
        )

    def _read_group(
        self, opened: list[_Opening], contexts: dict[tuple[int, ...], list[int]]
    ) -> None:
        group = [context for _, context in opened]
        rows = [(at, number) for at, context in enumerate(group) for number in contexts[context]]
        rows.sort(key=lambda row: len(self.items[row[1]].answer))
        before = max(map(len, group)) + len(self.query.ids)
        lengths = [before + len(self.items[number].answer) for _, number in rows]
        begun: set[tuple[int, ...]] = set()
        for stem, context in opened:
            for place, number in enumerate(contexts[context]):
                whole = len(context) + len(self.items[number].answer) + len(self._asked)
                known = len(stem) if stem in begun else 0
                self.made.cached_tokens[number] = len(context) if place else known
                self.made.prefilled_tokens[number] = whole - self.made.cached_tokens[number]
            begun.add(stem)

        def go_on(read: Callable[..., None]) -> None:
            start = self._opened(opened)

            def answer(batch: list[int]) -> None:
                places, numbers = zip(*(rows[at] for at in batch), strict=True)
                answers = [self.items[number].answer for number in numbers]
                past = select(start.past, places)
                read(list(numbers), answers, past, start.hidden[list(places), -1])

            self.backend.in_batches(range(len(rows)), lengths, answer)

        if self._asks_base:
            go_on(self._read_base)
        if self._everywhere and (self.labels or self.hidden):
            with self.backend.adapted(self._everywhere):
                go_on(self._read_adapted)

    def _opened(self, opened: list[_Opening]) -> Step:
        """The contexts, each read behind its stem; all have one, or none has."""
        begun = list(dict.fromkeys(stem for stem, _ in opened))
        if begun == [()]:
            return self.backend.decoder.read([context for _, context in opened])
        start = self.backend.decoder.read(begun)
        past = select(start.past, [begun.index(stem) for stem, _ in opened])
        return self.backend.decoder.read([context[len(stem) :] for stem, context in opened], past)

    def _read_base(
        self,
        numbers: list[int],
        rows: Sequence[tuple[int, ...]],
        past: Past | None,
        before: torch.Tensor | None = None,
    ) -> None:
        """Rows that end with their answers, the adapter off. `before` [B, d] is the hidden state in
        front of them, where `past` has read that. The query goes with them where no adapter acts on
        it."""
        joined = self.labels and self.adapter is None
        tail = self.query.ids if joined else ()
        asks = self.labels and self._on_query
        step = self.backend.decoder.read([(*row, *tail) for row in rows], past, cached=asks)
        hidden = step.hidden[:, : step.hidden.shape[1] - len(tail)]
        if self.logprobs:
            self._keep_logprobs(numbers, hidden, before)
        if self.hidden and not self._everywhere:
            _keep(self.made.hidden, numbers, hidden[:, -1])
        if joined:
            self._keep_labels(numbers, step.hidden[:, -1])
        elif asks:
            self._ask(numbers, step.past)

    def _read_adapted(
        self,
        numbers: list[int],
        rows: Sequence[tuple[int, ...]],
        past: Past | None,
        before: torch.Tensor | None = None,
    ) -> None:
        """The same rows and the query, by the adapter that is on everywhere."""
        tail = self._asked
        step = self.backend.decoder.read([(*row, *tail) for row in rows], past, cached=False)
        if self.hidden:
            _keep(self.made.hidden, numbers, step.hidden[:, -1 - len(tail)])
        if self.labels:
            self._keep_labels(numbers, step.hidden[:, -1])

    def _ask(self, numbers: list[int], past: Past) -> None:
        """The query over the base model's cache, the adapter on for these tokens only."""
        with self.backend.adapted(self.adapter.name if self.adapter is not None else None):
            rows = [self.query.ids] * len(numbers)
            step = self.backend.decoder.read(rows, past, cached=True)
        self._keep_labels(numbers, step.hidden[:, -1])

    @property
    def _asked(self) -> tuple[int, ...]:
        return self.query.ids if self.labels else ()

    @property
    def _asks_base(self) -> bool:
        """Whether anything is read with the adapter off."""
        return self.logprobs or (not self._everywhere and (self.labels or self.hidden))

    @property
    def _on_query(self) -> bool:
        return self.adapter is not None and self.adapter.activation == "query"

    @property
    def _everywhere(self) -> str | None:
        """The adapter's name when it acts on every token."""
        adapter = self.adapter
        return adapter.name if adapter is not None and adapter.activation == "all" else None

    # --- results --------------------------------------------------------------------------------

    def _keep_labels(self, numbers: list[int], hidden: torch.Tensor) -> None:
        logits = self.backend.decoder.head.logits(hidden, self.query.label_ids).cpu().numpy()
        if not np.isfinite(logits).all():
            raise NonFiniteScoreError(
                "the model returned NaN or infinite logits: try `dtype` float32"
            )
        self.made.label_logits[numbers] = logits
        if self.query_hidden:
            _keep(self.made.query_hidden, numbers, hidden)

    def _keep_logprobs(
        self, numbers: list[int], hidden: torch.Tensor, before: torch.Tensor | None
    ) -> None:
        """Of answers that end with `hidden` [B, columns, d]."""
        answers = [self._answer(number) for number in numbers]
        columns = hidden.shape[1]
        places = []
        for at, answer in enumerate(answers):
            if before is None:
                places.append(hidden[at, columns - len(answer) - 1 : columns - 1])
            else:
                places.append(before[at : at + 1])
                places.append(hidden[at, columns - len(answer) : columns - 1])
        ids = [token for answer in answers for token in answer]
        found = self.backend.decoder.head.logprobs(torch.cat(places), ids).cpu().numpy()
        if not np.isfinite(found).all():
            raise NonFiniteScoreError("the model returned NaN or infinite log-probabilities")
        ends = np.cumsum([len(answer) for answer in answers])
        for number, part in zip(numbers, np.split(found, ends[:-1]), strict=True):
            self.made.answer_logprobs[number] = part

    def _answer(self, number: int) -> tuple[int, ...]:
        item = self.items[number]
        if isinstance(item.context, KV):
            return item.context.ids[item.context.answer_start :]
        return item.answer

    def _result(self) -> ScoreBatch:
        return self.made.batch(self.want)


def _keep(rows: list[NDArray[np.float32]], numbers: list[int], hidden: torch.Tensor) -> None:
    for number, row in zip(numbers, hidden.float().cpu().numpy(), strict=True):
        rows[number] = row
