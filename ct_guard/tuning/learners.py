"""What is trained, by method: how it reads a batch, is measured, and is saved.

| method | trained | reads |
|---|---|---|
| `query` | a LoRA | the query's label logits |
| `probe` | a head | the base model's hidden state at the answer's last token |
| `lora_probe` | a LoRA and a head | the same, through the LoRA |
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ct_guard.backends import Adapter, Item, Want
from ct_guard.backends.attention import grouped_attention
from ct_guard.backends.forward import Past
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import TuningError
from ct_guard.query import Query
from ct_guard.store import ProbeHead

from .config import TuningConfig
from .data import RenderedAnswer
from .prefixes import Prefixes, row_length
from .trained import (
    adapter_in,
    create_lora,
    fresh_head,
    lora_in_its_format,
    save_head,
    save_lora,
    served_head,
)
from .warm_start import Read, Watching, fit_weights, last_writer, set_start, stacked

__all__ = ["LEARNERS", "Before", "Learner", "LoraProbeLearner", "ProbeLearner", "QueryLearner"]

Logits = NDArray[np.float32]
Rows = Sequence[RenderedAnswer]
OnRows = Callable[[int, int], None]

_AHEAD = 256
"""Rows that are read before the next word on how many there are."""
_PROBED = 4_000
"""Rows that a linear probe to start from is fitted on, at most: it has few unknowns."""


@dataclass(frozen=True)
class Before:
    """What the base model says before the trained part does, without gradients."""

    past: Past | None = None
    """Its cache of context and answer, for activation `query`."""
    answers: torch.Tensor | None = None
    """Its logits [T, V] at all T answer tokens, where a divergence from them is asked for."""


@dataclass(frozen=True)
class Reading:
    """Label logits [B, 2], and the tuned model's logits [T, V] at all answer tokens."""

    labels: torch.Tensor
    answers: torch.Tensor | None = None


class Learner(Protocol):
    """A method's trained part, over a backend."""

    @property
    def adapter(self) -> Adapter | None: ...

    @property
    def weights(self) -> list[nn.Parameter]: ...

    def prepare(self, rows: Rows, budget: int, on_rows: OnRows) -> None:
        """Read what the base alone says of rows, once for all steps, into at most `budget` bytes;
        `on_rows` hears how many of how many are read. May be left out: then it is read when it is
        needed."""

    def start(self, rows: Rows, held_out: Rows, on_rows: OnRows) -> None:
        """Start where a linear probe ends, where the trained part can: fitted on rows, its penalty
        chosen on rows that are held out; `on_rows` hears how many of how many are read."""

    def before(self, rows: Rows) -> Before:
        """Outside of `learning`."""

    def learning(self) -> AbstractContextManager[None]:
        """Where `read` and its backward pass happen."""

    def read(self, rows: Rows, before: Before) -> Reading: ...

    def logits(self, rows: Rows) -> Logits:
        """Label logits [B, 2] as they will be when this serves."""

    def save(self) -> ProbeHead | None:
        """Write what was trained to the folder; returns the head where there is one. Raises
        TuningError where it cannot be written."""


class QueryLearner:
    """With activation `query`, the base model reads context and answer, and the LoRA acts on the
    query's tokens only, over that cache. With `all`, it acts on every token. `exchanged` is the
    query with its labels the other way round, where both are asked and their logits averaged."""

    def __init__(
        self,
        backend: TransformersBackend,
        query: Query,
        folder: Path,
        config: TuningConfig,
        exchanged: Query | None = None,
    ) -> None:
        self.backend, self.config = backend, config
        # of rows about fields, their own query takes its place: with activation `query` alone
        self.orders = (query,) if exchanged is None else (query, exchanged)
        self.adapter = adapter_in(folder, config)
        self.weights: list[nn.Parameter] = create_lora(backend, self.adapter, config)
        self._prefixes = Prefixes(backend)

    def prepare(self, rows: Rows, budget: int, on_rows: OnRows) -> None:
        self._prefixes.room = budget
        if self.config.activation == "query":
            self._prefixes.keep(rows, on_rows)

    def start(self, rows: Rows, held_out: Rows, on_rows: OnRows) -> None:
        model, name = self.backend.model, self.adapter.name
        layer = last_writer(model, name, lambda: self.read(rows[:1], self.before(rows[:1])))
        if layer is None:
            return
        some = rows[:: -(-len(rows) // _PROBED)]
        total = len(some) + len(held_out)
        learnt = self._seen(layer, some, lambda done: on_rows(done, total))
        chosen = self._seen(layer, held_out, lambda done: on_rows(len(some) + done, total))
        weights = fit_weights(learnt, _correct(some), chosen, _correct(held_out))
        set_start(layer, name, weights, learnt.gradient)

    def _seen(self, layer: nn.Module, rows: Rows, on_rows: Callable[[int], None]) -> Read:
        """What the layer reads of rows, without the adapter."""
        parts: list[tuple[list[int], Read]] = []

        def look(batch: list[int]) -> None:
            chosen = [rows[at] for at in batch]
            with torch.enable_grad(), Watching(layer) as seen:
                labels = self.read(chosen, self.before(chosen)).labels
                margins = labels[:, 1] - labels[:, 0]
                (slope,) = torch.autograd.grad(margins.sum(), seen.added)
            parts.append((batch, Read(*map(_numbers, (seen.inputs, margins, slope.mean(0))))))
            on_rows(sum(len(places) for places, _ in parts))

        self._in_batches(rows, look)
        return stacked(parts)

    def _in_batches(self, rows: Rows, work: Callable[[list[int]], None]) -> None:
        order = sorted(range(len(rows)), key=lambda at: row_length(rows[at]))
        self.backend.in_batches(order, [row_length(rows[at]) for at in order], work)

    def before(self, rows: Rows) -> Before:
        if self.config.activation == "all":
            return Before(answers=_base_answers(self.backend, rows, self.config))
        return Before(self._prefixes.of(rows))

    def learning(self) -> AbstractContextManager[None]:
        return self.backend.adapted(self.adapter.name, training=True)

    def read(self, rows: Rows, before: Before) -> Reading:
        readings = [self._read(rows, before, query) for query in self.orders]
        labels = torch.stack([reading.labels for reading in readings]).mean(0)
        return Reading(labels, readings[0].answers)

    def _read(self, rows: Rows, before: Before, query: Query) -> Reading:
        decoder = self.backend.decoder
        asked, labels = query.ids, query.label_ids
        if before.past is not None:
            with grouped_attention(self.backend.model), lora_in_its_format(self.backend.model):
                step = decoder.read([row.query or asked for row in rows], before.past)
            return Reading(decoder.head.logits(step.hidden[:, -1], labels))
        step = decoder.read([(*row.context, *row.answer, *asked) for row in rows], cached=False)
        answers = None
        if before.answers is not None:
            answers = decoder.head.every(_at_answers(step.hidden, rows, len(asked)))
        return Reading(decoder.head.logits(step.hidden[:, -1], labels), answers)

    def logits(self, rows: Rows) -> Logits:
        if self.config.activation == "all":
            found = [_score(self.backend, rows, q, self.adapter, "labels") for q in self.orders]
            return np.asarray(np.mean(found, axis=0), np.float32)
        logits = np.zeros((len(rows), 2), np.float32)

        def read(batch: list[int]) -> None:
            chosen = [rows[at] for at in batch]
            before = self.before(chosen)
            with self.backend.adapted(self.adapter.name):
                logits[batch] = self.read(chosen, before).labels.cpu().numpy()

        with torch.no_grad():
            self._in_batches(rows, read)
        return logits

    def save(self) -> None:
        save_lora(self.backend, self.adapter)


class ProbeLearner:
    """A head over hidden states of the base model, which stays as it is and reads each row once."""

    adapter: Adapter | None = None

    def __init__(
        self, backend: TransformersBackend, query: Query, folder: Path, config: TuningConfig
    ) -> None:
        self.backend, self.query, self.folder = backend, query, folder
        self.head = fresh_head(backend)
        self.weights: list[nn.Parameter] = list(self.head.parameters())
        self._read: dict[RenderedAnswer, Logits] = {}

    def prepare(self, rows: Rows, budget: int, on_rows: OnRows) -> None:
        for start in range(0, len(rows), _AHEAD):
            self._hidden(rows[start : start + _AHEAD])
            on_rows(min(start + _AHEAD, len(rows)), len(rows))

    def start(self, rows: Rows, held_out: Rows, on_rows: OnRows) -> None:
        """A head starts at random."""

    def before(self, rows: Rows) -> Before:
        return Before()

    def learning(self) -> AbstractContextManager[None]:
        return nullcontext()

    def read(self, rows: Rows, before: Before) -> Reading:
        hidden = torch.from_numpy(self._hidden(rows)).to(self.weights[0].device)
        return Reading(self.head(hidden))

    def logits(self, rows: Rows) -> Logits:
        return served_head(self.head).logits(self._hidden(rows))

    def save(self) -> ProbeHead:
        return save_head(self.head, self.folder)

    def _hidden(self, rows: Rows) -> Logits:
        new = list({row: None for row in rows if row not in self._read})
        if new:
            found = _score(self.backend, new, self.query, None, "hidden")
            self._read.update(zip(new, found, strict=True))
        return np.stack([self._read[row] for row in rows])


class LoraProbeLearner:
    """A head over hidden states, and a LoRA on every token that they are read through."""

    def __init__(
        self, backend: TransformersBackend, query: Query, folder: Path, config: TuningConfig
    ) -> None:
        self.backend, self.query, self.config, self.folder = backend, query, config, folder
        self.adapter = adapter_in(folder, config)
        self.head = fresh_head(backend)
        self.weights: list[nn.Parameter] = [
            *create_lora(backend, self.adapter, config),
            *self.head.parameters(),
        ]

    def prepare(self, rows: Rows, budget: int, on_rows: OnRows) -> None:
        """Everything is read through the LoRA."""

    def start(self, rows: Rows, held_out: Rows, on_rows: OnRows) -> None:
        """LoRA and head start at random."""

    def before(self, rows: Rows) -> Before:
        return Before(answers=_base_answers(self.backend, rows, self.config))

    def learning(self) -> AbstractContextManager[None]:
        return self.backend.adapted(self.adapter.name, training=True)

    def read(self, rows: Rows, before: Before) -> Reading:
        decoder = self.backend.decoder
        step = decoder.read([(*row.context, *row.answer) for row in rows], cached=False)
        answers = None
        if before.answers is not None:
            answers = decoder.head.every(_at_answers(step.hidden, rows, 0))
        return Reading(self.head(step.hidden[:, -1].float()), answers)

    def logits(self, rows: Rows) -> Logits:
        hidden = _score(self.backend, rows, self.query, self.adapter, "hidden")
        return served_head(self.head).logits(hidden)

    def save(self) -> ProbeHead:
        save_lora(self.backend, self.adapter)
        return save_head(self.head, self.folder)


LEARNERS: dict[str, Callable[[TransformersBackend, Query, Path, TuningConfig], Learner]] = {
    "query": QueryLearner,
    "probe": ProbeLearner,
    "lora_probe": LoraProbeLearner,
}
"""By method."""


def _correct(rows: Rows) -> NDArray[np.bool_]:
    return np.array([row.correct for row in rows], np.bool_)


def _numbers(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().cpu().numpy()


def _base_answers(
    backend: TransformersBackend, rows: Rows, config: TuningConfig
) -> torch.Tensor | None:
    """The base model's logits at the answers' tokens, where the loss asks for a divergence."""
    if not config.divergence_weight:
        return None
    decoder = backend.decoder
    with torch.no_grad():
        step = decoder.read([(*row.context, *row.answer) for row in rows], cached=False)
        return decoder.head.every(_at_answers(step.hidden, rows, 0))


def _at_answers(hidden: torch.Tensor, rows: Rows, behind: int) -> torch.Tensor:
    """Hidden states [T, d] that predict the T answer tokens, of those [B, columns, d] whose last
    columns are the answers' tokens and `behind` more."""
    end = hidden.shape[1] - behind - 1
    return torch.cat([hidden[at, end - len(row.answer) : end] for at, row in enumerate(rows)])


def _score(
    backend: TransformersBackend, rows: Rows, query: Query, adapter: Adapter | None, want: Want
) -> Logits:
    items = [Item(row.context, row.answer) for row in rows]
    batch = backend.score(items, query, adapter, frozenset((want,)))
    found = batch.label_logits if want == "labels" else batch.hidden
    if found is None:
        raise TuningError(f"the backend returned no {want}")
    return found
