"""One call of `TransformersBackend.ask`: an answer is read once, and queries go on from there."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from ct_guard.errors import BackendError, NonFiniteScoreError, UsageError
from ct_guard.query import Query

from .base import KV, Adapter, Asked, Asking
from .forward import Past, live, select
from .scoring import Engine
from .tree import Tree

__all__ = ["ask"]

_OF_A_TOKEN = 8
"""Tokens of a cache that are copied for a query: they cost about as much as one that is read."""

_AT_ONCE = 2_048
"""Tokens of an answer and its queries that one forward reads. Of more, what it saves over two is
little, and its mask grows with their square."""

Rows = list[tuple[int, Query]]
"""Queries, each with its number."""
Reader = Callable[[Rows], torch.Tensor]


@torch.inference_mode()
def ask(engine: Engine, asking: Asking) -> Asked:
    """See `Backend.ask`. The backend's lock is held."""
    if engine.manner == "whole":
        raise BackendError(
            "this base model is read without a cache, which several queries cannot share: judge"
            " fields with another base"
        )
    return _Job(engine, asking).run()


class _Job:
    def __init__(self, engine: Engine, asking: Asking) -> None:
        self.engine, self.asking = engine, asking
        size = len(asking.queries)
        self.logits = np.zeros((size + 1, 2), np.float32)
        """Of each query, and of the first one in the last row."""
        self.state: NDArray[np.float32] | None = None

    def run(self) -> Asked:
        asking = self.asking
        rows = list(enumerate(asking.queries))
        first = [] if asking.first is None else [(len(rows), asking.first)]
        if len({query.label_ids for _, query in rows + first}) > 1:
            raise UsageError("queries over one reading must have the same labels")
        if self._at_once(rows + first):
            with self.engine.adapted(asking.everywhere):
                logprobs = self._read_all(rows + first)
        else:
            logprobs = self._read_and_ask(rows, first)
        if not np.isfinite(self.logits).all():
            raise NonFiniteScoreError(
                "the model returned NaN or infinite logits: try --dtype float32"
            )
        return Asked(self.logits[:-1], self.logits[-1] if first else None, logprobs, self.state)

    @property
    def _in_a_tree(self) -> bool:
        return self.engine.manner == "together" and self.engine.decoder.reads_trees

    def _at_once(self, rows: Rows) -> bool:
        """Whether one forward reads answer and queries: the same acts on all of them, and nothing
        was read before."""
        asking = self.asking
        others = [] if asking.first is None else [asking.first_adapter]
        alike = all(one == asking.adapter for one in others)
        if not alike or (asking.adapter is not None and asking.everywhere is None):
            return False
        if isinstance(asking.item.context, KV) or not rows or not self._in_a_tree:
            return False
        before, window = len(asking.item.context) + len(asking.item.answer), self.engine.window
        lengths = [len(query.ids) for _, query in rows]
        fits = window is None or before + max(lengths) <= window
        return fits and before + sum(lengths) <= _AT_ONCE

    def _read_all(self, rows: Rows) -> NDArray[np.float32] | None:
        """Context, answer and queries in one tree; the answer's log-probabilities, where they are
        wanted."""
        context, answer = self._texts()
        tree = Tree.of([(*context, *answer, *query.ids) for _, query in rows])
        found: list[torch.Tensor] = []
        self.engine.in_batches(
            [0], [len(tree.ids)], lambda _: found.append(self.engine.decoder.read_tree(tree))
        )
        self._keep(rows, found[0][torch.from_numpy(tree.ends)])
        before = len(context) + len(answer) - 1
        return self._logprobs(found[0][before - len(answer) : before], answer)

    def _read_and_ask(self, rows: Rows, first: Rows) -> NDArray[np.float32] | None:
        """One reading of the answer, then the queries over its cache."""
        asking, in_a_tree = self.asking, self._in_a_tree
        with self.engine.adapted(asking.everywhere):
            past, logprobs = self._read()
        if in_a_tree and asking.adapter == asking.first_adapter:
            self._ask(rows + first, past, asking.adapter, in_a_tree=True)
        else:  # apart: the answer's own query is longer, and would pad all others
            self._ask(rows, past, asking.adapter, in_a_tree=in_a_tree)
            self._ask(first, past, asking.first_adapter, in_a_tree=in_a_tree)
        return logprobs

    def _texts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Context and answer."""
        item = self.asking.item
        if isinstance(item.context, KV):
            ids, start = item.context.ids, item.context.answer_start
            context, answer = ids[:start], ids[start:]
        else:
            context, answer = item.context, item.answer
        if not answer:
            raise UsageError("an answer without tokens cannot be scored")
        return context, answer

    def _read(self) -> tuple[Past, NDArray[np.float32] | None]:
        """Context and answer, or what was read while the answer was generated; and the answer's
        log-probabilities, where they are wanted."""
        asking, kv = self.asking, self.asking.item.context
        context, answer = self._texts()
        if isinstance(kv, KV) and asking.everywhere is None:
            return live(kv), kv.answer_logprobs if asking.logprobs else None
        step = self.engine.decoder.read([(*context, *answer)])
        # padding stands on the left
        return step.past, self._logprobs(step.hidden[0, -len(answer) - 1 : -1], answer)

    def _logprobs(
        self, hidden: torch.Tensor, answer: tuple[int, ...]
    ) -> NDArray[np.float32] | None:
        """Of an answer's tokens, each predicted by `hidden` [answer tokens, d], where wanted."""
        if not self.asking.logprobs:
            return None
        found = self.engine.decoder.head.logprobs(hidden, list(answer)).cpu().numpy()
        if not np.isfinite(found).all():
            raise NonFiniteScoreError("the model returned NaN or infinite log-probabilities")
        return np.asarray(found, np.float32)

    def _ask(self, rows: Rows, past: Past, adapter: Adapter | None, *, in_a_tree: bool) -> None:
        """All at once in one tree over the one cache, where the base reads trees; else as a batch
        over copies of it; else each on its own."""
        rows = sorted(rows, key=lambda row: len(row[1].ids))
        before, window = past.mask.shape[1], self.engine.window
        longest = max((len(query.ids) for _, query in rows), default=0)
        fits = window is None or before + longest <= window  # beyond, padding pushes tokens out
        lengths = [len(query.ids) for _, query in rows]
        with self.engine.adapted(adapter.name if adapter is not None else None):
            if in_a_tree:
                self._in_batches(rows, lengths, lambda some: self._at_ends(some, past))
            elif self.engine.manner == "together" and fits:
                copied = [before // _OF_A_TOKEN + length for length in lengths]
                self._in_batches(rows, copied, lambda some: self._behind_copies(some, past))
            else:
                for row in rows:
                    self._keep([row], self._behind_copies([row], past))

    def _in_batches(self, rows: Rows, lengths: list[int], read: Reader) -> None:
        def work(batch: list[int]) -> None:
            some = [rows[at] for at in batch]
            self._keep(some, read(some))

        self.engine.in_batches(range(len(rows)), lengths, work)

    def _at_ends(self, rows: Rows, past: Past) -> torch.Tensor:
        """Hidden states [rows, d] at the queries' ends."""
        tree = Tree.of([query.ids for _, query in rows])
        return self.engine.decoder.read_tree(tree, past)[torch.from_numpy(tree.ends)]

    def _behind_copies(self, rows: Rows, past: Past) -> torch.Tensor:
        """The same, each behind its own copy of the cache."""
        seen = past if len(rows) == 1 else select(past, [0] * len(rows))
        return self.engine.decoder.read([query.ids for _, query in rows], seen).hidden[:, -1]

    def _keep(self, rows: Rows, hidden: torch.Tensor) -> None:
        found = self.engine.decoder.head.logits(hidden, rows[0][1].label_ids)
        numbers = [number for number, _ in rows]
        self.logits[numbers] = found.cpu().numpy()
        last = len(self.asking.queries)
        if self.asking.state and last in numbers:
            self.state = hidden[numbers.index(last)].float().cpu().numpy()
