"""One call of `TransformersBackend.ask`: an answer is read once, and queries go on from there."""

import numpy as np
import torch
from numpy.typing import NDArray

from ct_guard.errors import BackendError, NonFiniteScoreError, UsageError
from ct_guard.query import Query

from .base import KV, NO_TOKENS, Adapter, Asked, Asking
from .forward import Past, Step, live, select
from .scoring import Engine

__all__ = ["ask"]

_OF_A_TOKEN = 8
"""Tokens of a cache that are copied for a query: they cost about as much as one that is read."""


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

    def run(self) -> Asked:
        asking = self.asking
        with self.engine.adapted(asking.everywhere):
            past, logprobs = self._read()
        rows = [(at, query, past.mask) for at, query in enumerate(asking.queries)]
        first = []
        if asking.first is not None:
            first.append((len(rows), asking.first, self._without_preamble(past)))
        # apart: the answer's own query is longer, and would pad all others
        self._ask(rows, past, asking.adapter)
        self._ask(first, past, asking.first_adapter)
        if not np.isfinite(self.logits).all():
            raise NonFiniteScoreError(
                "the model returned NaN or infinite logits: try --dtype float32"
            )
        return Asked(self.logits[:-1], self.logits[-1] if first else None, logprobs)

    def _without_preamble(self, past: Past) -> torch.Tensor:
        """The mask of what was read up to the answer's end: masked, the rest is not there, as
        positions follow from the mask. Raises BackendError where it takes slots of a window."""
        width, mask = past.mask.shape[1], past.mask.clone()
        window = self.engine.window
        if window is not None and width > window:
            raise BackendError(
                "question and answer are longer than this base's sliding window: score the answer"
                " without its fields, or use a shorter one"
            )
        if self.asking.preamble:
            mask[:, width - len(self.asking.preamble) :] = 0
        return mask

    def _read(self) -> tuple[Past, NDArray[np.float32] | None]:
        """Context, answer and preamble, or the preamble behind what was read while the answer was
        generated; and the answer's log-probabilities, where they are wanted."""
        item, preamble = self.asking.item, self.asking.preamble
        decoder = self.engine.decoder
        if isinstance(item.context, KV):
            kv = item.context
            if kv.answer_start == len(kv.ids):
                raise UsageError("an answer without tokens cannot be scored")
            if self.asking.everywhere is None:
                known = kv.answer_logprobs if self.asking.logprobs else None
                past = live(kv)
                return (decoder.read([preamble], past).past if preamble else past), known
            context, answer = kv.ids[: kv.answer_start], kv.ids[kv.answer_start :]
        else:
            context, answer = item.context, item.answer
        if not answer:
            raise UsageError("an answer without tokens cannot be scored")
        step = decoder.read([(*context, *answer, *preamble)])
        at = range(len(context), len(context) + len(answer))
        return step.past, self._logprobs(step, answer, at if self.asking.logprobs else NO_TOKENS)

    def _logprobs(
        self, step: Step, answer: tuple[int, ...], at: range
    ) -> NDArray[np.float32] | None:
        if not at:
            return None
        read = len(answer) + len(self.asking.preamble) + at.start
        first = step.hidden.shape[1] - read + at.start - 1  # padding stands on the left
        hidden = step.hidden[0, first : first + len(answer)]
        found = self.engine.decoder.head.logprobs(hidden, list(answer)).cpu().numpy()
        if not np.isfinite(found).all():
            raise NonFiniteScoreError("the model returned NaN or infinite log-probabilities")
        return np.asarray(found, np.float32)

    def _ask(
        self,
        rows: list[tuple[int, Query, torch.Tensor]],
        past: Past,
        adapter: Adapter | None,
    ) -> None:
        """Each query behind the slots that its mask [1, L] leaves."""
        rows = sorted(rows, key=lambda row: len(row[1].ids))
        before = past.mask.shape[1]
        decoder = self.engine.decoder

        def read(batch: list[int]) -> None:
            some = [rows[at] for at in batch]
            seen = select(past, [0] * len(some))
            masked = Past(seen.cache, torch.cat([mask for _, _, mask in some]))
            step = decoder.read([query.ids for _, query, _ in some], masked)
            labels = [query.label_ids for _, query, _ in some]
            if len(set(labels)) > 1:
                raise UsageError("queries over one reading must have the same labels")
            found = decoder.head.logits(step.hidden[:, -1], labels[0]).cpu().numpy()
            self.logits[[number for number, _, _ in some]] = found

        with self.engine.adapted(adapter.name if adapter is not None else None):
            if self.engine.manner == "together":
                lengths = [before // _OF_A_TOKEN + len(query.ids) for _, query, _ in rows]
                self.engine.in_batches(range(len(rows)), lengths, read)
            else:
                for at in range(len(rows)):
                    read([at])
