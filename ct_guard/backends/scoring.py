"""One call of `TransformersBackend.score`: which tokens are read when, and from which cache."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ct_guard.errors import NonFiniteScoreError, UsageError
from ct_guard.query import Query

from .base import KV, Adapter, Item, ScoreBatch, Want
from .forward import Past, extend, live, select

__all__ = ["ScoreJob"]

SHARE_FROM = 0.15
"""Answers share a prefilled context when that saves this share of the call's tokens."""


class Engine(Protocol):
    """What a job needs of the backend that runs it."""

    @property
    def model(self) -> Any: ...

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
        size = len(items)
        self.label_logits = np.zeros((size, 2), np.float32)
        self.answer_logprobs: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * size
        self.hidden_rows: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * size
        self.cached = np.zeros(size, np.int32)
        self.prefilled = np.zeros(size, np.int32)

    @torch.inference_mode()
    def run(self) -> ScoreBatch:
        contexts: dict[tuple[int, ...], list[int]] = {}
        for number, item in enumerate(self.items):
            if isinstance(item.context, KV):
                self._continue(number, item.context)
            elif not item.answer:
                raise UsageError("an answer without tokens cannot be scored")
            else:
                contexts.setdefault(item.context, []).append(number)
        total = sum(len(c) + len(self.items[n].answer) for c, ns in contexts.items() for n in ns)
        saved = sum(len(context) * (len(numbers) - 1) for context, numbers in contexts.items())
        if total and saved >= SHARE_FROM * total and self._fits_window(contexts):
            self._shared(contexts)
        else:
            self._apart([number for numbers in contexts.values() for number in numbers])
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
        if self.adapter is not None and self.adapter.activation == "all":
            self._apart_ids([(number, kv.ids[: kv.answer_start], kv.ids[kv.answer_start :])])
            return
        self.answer_logprobs[number] = kv.answer_logprobs
        self.cached[number] = len(kv.ids)
        self.prefilled[number] = len(self.query.ids) if self.labels else 0
        if self.labels:
            self._ask([number], past)

    def _apart(self, numbers: list[int]) -> None:
        """Context and answer are read together, in batches of like length."""
        rows = [(n, self.items[n].context, self.items[n].answer) for n in numbers]
        self._apart_ids([(n, c, a) for n, c, a in rows if not isinstance(c, KV)])

    def _apart_ids(self, rows: list[tuple[int, tuple[int, ...], tuple[int, ...]]]) -> None:
        order = sorted(range(len(rows)), key=lambda at: len(rows[at][1]) + len(rows[at][2]))
        if (window := self.backend.window) is not None:
            longest = max((len(c) + len(a) for _, c, a in rows), default=0) + len(self.query.ids)
            if longest > window:
                for at in order:
                    self._read_batch([rows[at]])
                return
        lengths = [len(rows[at][1]) + len(rows[at][2]) + len(self.query.ids) for at in order]
        self.backend.in_batches(
            order, lengths, lambda batch: self._read_batch([rows[at] for at in batch])
        )

    def _read_batch(self, batch: list[tuple[int, tuple[int, ...], tuple[int, ...]]]) -> None:
        numbers = [number for number, _, _ in batch]
        prefixes = [(*context, *answer) for _, context, answer in batch]
        model, everywhere = self.backend.model, self._everywhere
        asked = len(self.query.ids) if self.labels else 0
        self.prefilled[numbers] = [len(prefix) + asked for prefix in prefixes]
        if self._asks_base:
            keep = 1 + max(len(answer) for _, _, answer in batch) if self.logprobs else 1
            step = extend(model, prefixes, keep=keep, want_hidden=self.hidden and not everywhere)
            for at, (number, _, answer) in enumerate(batch):
                if self.logprobs:
                    logits = step.logits[at, -len(answer) - 1 : -1]
                    self.answer_logprobs[number] = _chosen(logits, answer)
            self._keep_hidden(numbers, step.hidden)
            if self.labels and not everywhere:
                self._ask(numbers, step.past)
        if everywhere and (self.labels or self.hidden):
            with self.backend.adapted(everywhere):
                self._read_adapted(numbers, prefixes, None)

    def _shared(self, contexts: dict[tuple[int, ...], list[int]]) -> None:
        """Every context is read once; its answers go on from its cache, in batches by length."""
        order = sorted(contexts, key=len)
        indices = list(range(len(order)))
        self.backend.in_batches(
            indices,
            list(map(len, order)),
            lambda batch: self._read_group([order[at] for at in batch], contexts),
        )

    def _read_group(
        self, group: list[tuple[int, ...]], contexts: dict[tuple[int, ...], list[int]]
    ) -> None:
        everywhere = self._everywhere
        rows = [(at, number) for at, context in enumerate(group) for number in contexts[context]]
        rows.sort(key=lambda row: len(self.items[row[1]].answer))
        before = max(map(len, group)) + len(self.query.ids)
        lengths = [before + len(self.items[number].answer) for _, number in rows]
        asked = len(self.query.ids) if self.labels else 0
        for context in group:
            for place, number in enumerate(contexts[context]):
                own = len(self.items[number].answer) + asked
                self.cached[number] = len(context) if place else 0
                self.prefilled[number] = own if place else len(context) + own
        if self._asks_base:
            start = extend(self.backend.model, group)

            def go_on(batch: list[int]) -> None:
                self._read_answers([rows[at] for at in batch], start.past, start.logits)

            self.backend.in_batches(range(len(rows)), lengths, go_on)
        if everywhere and (self.labels or self.hidden):
            with self.backend.adapted(everywhere):
                adapted_start = extend(self.backend.model, group)

                def ask(batch: list[int]) -> None:
                    chosen = [rows[at] for at in batch]
                    self._read_adapted(
                        [number for _, number in chosen],
                        [self.items[number].answer for _, number in chosen],
                        select(adapted_start.past, [at for at, _ in chosen]),
                    )

                self.backend.in_batches(range(len(rows)), lengths, ask)

    def _read_adapted(
        self, numbers: list[int], rows: Sequence[tuple[int, ...]], past: Past | None
    ) -> None:
        """Rows that end with their answers, and the query, by the adapter that is on everywhere."""
        model = self.backend.model
        if not self.hidden:
            step = extend(model, [(*row, *self.query.ids) for row in rows], past)
            self._keep_labels(numbers, step.logits)
            return
        step = extend(model, rows, past, want_hidden=True)
        self._keep_hidden(numbers, step.hidden)
        if self.labels:
            step = extend(model, [self.query.ids] * len(rows), step.past)
            self._keep_labels(numbers, step.logits)

    def _read_answers(
        self, batch: list[tuple[int, int]], past: Past, first_logits: torch.Tensor
    ) -> None:
        numbers = [number for _, number in batch]
        answers = [self.items[number].answer for number in numbers]
        keep = max(map(len, answers)) if self.logprobs else 1
        step = extend(
            self.backend.model,
            answers,
            select(past, [at for at, _ in batch]),
            keep=keep,
            want_hidden=self.hidden and not self._everywhere,
        )
        for at, (start, number) in enumerate(batch):
            answer = answers[at]
            if self.logprobs:
                before = step.logits[at, keep - len(answer) : keep - 1]
                logits = torch.cat([first_logits[start, -1:], before])
                self.answer_logprobs[number] = _chosen(logits, answer)
        self._keep_hidden(numbers, step.hidden)
        if self.labels and not self._everywhere:
            self._ask(numbers, step.past)

    @property
    def _asks_base(self) -> bool:
        """Whether anything is read with the adapter off."""
        return self.logprobs or (not self._everywhere and (self.labels or self.hidden))

    @property
    def _everywhere(self) -> str | None:
        """The adapter's name when it acts on every token."""
        adapter = self.adapter
        return adapter.name if adapter is not None and adapter.activation == "all" else None

    def _ask(self, numbers: list[int], past: Past) -> None:
        """The query over the base model's cache, the adapter on for these tokens only."""
        with self.backend.adapted(self.adapter.name if self.adapter is not None else None):
            step = extend(self.backend.model, [self.query.ids] * len(numbers), past)
        self._keep_labels(numbers, step.logits)

    # --- results --------------------------------------------------------------------------------

    def _keep_labels(self, numbers: list[int], logits: torch.Tensor) -> None:
        pairs = logits[:, -1, list(self.query.label_ids)].float().cpu().numpy()
        if not np.isfinite(pairs).all():
            raise NonFiniteScoreError(
                "the model returned NaN or infinite logits: try --dtype float32"
            )
        self.label_logits[numbers] = pairs

    def _keep_hidden(self, numbers: list[int], hidden: torch.Tensor | None) -> None:
        if hidden is not None:
            for number, row in zip(numbers, hidden.float().cpu().numpy(), strict=True):
                self.hidden_rows[number] = row

    def _result(self) -> ScoreBatch:
        return ScoreBatch(
            label_logits=self.label_logits if self.labels else None,
            answer_logprobs=self.answer_logprobs if self.logprobs else None,
            hidden=np.stack(self.hidden_rows) if self.hidden and self.items else None,
            cached_tokens=self.cached,
            prefilled_tokens=self.prefilled,
        )


def _chosen(logits: torch.Tensor, answer: tuple[int, ...]) -> NDArray[np.float32]:
    """Log-probabilities of `answer` from logits [len(answer), V], in float32."""
    index = torch.tensor(answer, device=logits.device)[:, None]
    chosen = logits.float().log_softmax(-1).gather(1, index)[:, 0].cpu().numpy()
    if not np.isfinite(chosen).all():
        raise NonFiniteScoreError("the model returned NaN or infinite log-probabilities")
    return np.asarray(chosen, dtype=np.float32)
