"""One call of `TransformersBackend.ask`: an answer is read once, and queries go on from there."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from ct_guard.errors import BackendError, NonFiniteScoreError, UsageError
from ct_guard.query import Query

from .base import KV, NO_TOKENS, Adapter, Asked, Asking
from .forward import Past, Step, live, select
from .scoring import Engine
from .tree import Tree

__all__ = ["ask"]

_OF_A_TOKEN = 8
"""Tokens of a cache that are copied for a query: they cost about as much as one that is read."""

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
        with self.engine.adapted(asking.everywhere):
            past, logprobs = self._read()
        rows = list(enumerate(asking.queries))
        first = [] if asking.first is None else [(len(rows), asking.first)]
        if len({query.label_ids for _, query in rows + first}) > 1:
            raise UsageError("queries over one reading must have the same labels")
        in_a_tree = self.engine.manner == "together" and self.engine.decoder.reads_trees
        if in_a_tree and asking.adapter == asking.first_adapter:
            self._ask(rows + first, past, asking.adapter, in_a_tree=True)
        else:  # apart: the answer's own query is longer, and would pad all others
            self._ask(rows, past, asking.adapter, in_a_tree=in_a_tree)
            self._ask(first, past, asking.first_adapter, in_a_tree=in_a_tree)
        if not np.isfinite(self.logits).all():
            raise NonFiniteScoreError(
                "the model returned NaN or infinite logits: try --dtype float32"
            )
        return Asked(self.logits[:-1], self.logits[-1] if first else None, logprobs, self.state)

    def _read(self) -> tuple[Past, NDArray[np.float32] | None]:
        """Context and answer, or what was read while the answer was generated; and the answer's
        log-probabilities, where they are wanted."""
        item, decoder = self.asking.item, self.engine.decoder
        if isinstance(item.context, KV):
            kv = item.context
            if kv.answer_start == len(kv.ids):
                raise UsageError("an answer without tokens cannot be scored")
            if self.asking.everywhere is None:
                return live(kv), kv.answer_logprobs if self.asking.logprobs else None
            context, answer = kv.ids[: kv.answer_start], kv.ids[kv.answer_start :]
        else:
            context, answer = item.context, item.answer
        if not answer:
            raise UsageError("an answer without tokens cannot be scored")
        step = decoder.read([(*context, *answer)])
        at = range(len(context), len(context) + len(answer))
        return step.past, self._logprobs(step, answer, at if self.asking.logprobs else NO_TOKENS)

    def _logprobs(
        self, step: Step, answer: tuple[int, ...], at: range
    ) -> NDArray[np.float32] | None:
        if not at:
            return None
        hidden = step.hidden[0, -len(answer) - 1 : -1]  # padding stands on the left
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
