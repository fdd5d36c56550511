"""The key-value cache and the one call that reads tokens into it.

llama.cpp ends the process when it is asked for what it cannot do. Everything that a caller could
ask for is checked here first, and what remains comes back as a BackendError.
"""

import ctypes
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import BackendError, UsageError

from .batch import Batch
from .library import errors_logged, library
from .model import Model
from .rows import Layout, Reading, Row, Slot, token_logprobs

__all__ = ["Context", "Options", "usable_cores"]

MAX_SEQUENCES = 256
"""llama.cpp's own limit (LLAMA_MAX_SEQ)."""
OUTPUT_BYTES = 64 * 2**20
"""About what the logits of one decode may take: rows of answer tokens are read in such portions."""
_MAX_OUTPUTS = 512
_KV_TYPES = {"f32": 0, "f16": 1}
_NO_FLASH_ATTENTION = 0
"""Its kernel rounds to 16 bits inside, whatever the cache's type."""
_FULL = 1

KVType = Literal["f16", "f32"]


@dataclass(frozen=True)
class Options:
    """How a model is run. Raises UsageError for what cannot be."""

    n_ctx: int = 4096
    """Tokens in the cache, of all live sequences together; a shared prefix counts once."""
    n_batch: int = 2048
    """Tokens in one decode."""
    threads: int | None = None
    """None takes as many as this process may use."""
    kv_type: KVType = "f16"
    max_sequences: int = 64
    """Live KVs and answers read together; each keeps one row of logits."""

    def __post_init__(self) -> None:
        for name, value, most in (
            ("n_ctx", self.n_ctx, 1 << 27),
            ("n_batch", self.n_batch, 1 << 20),
            ("threads", self.threads or 1, 512),
            ("max_sequences", self.max_sequences, MAX_SEQUENCES),
        ):
            if not 1 <= value <= most:
                raise UsageError(f"{name} is {value} and must be from 1 to {most}")
        if self.kv_type not in _KV_TYPES:
            raise UsageError(f"kv_type is {self.kv_type!r} and must be f16 or f32")


class Context:
    """Owns the cache until `close`. Its callers hold the backend's lock."""

    def __init__(self, model: Model, options: Options) -> None:
        self._c = library()
        self._model = model
        self.options = options
        self.max_tokens = min(options.n_ctx, model.max_tokens)
        self.dropped: deque[int] = deque()
        most = OUTPUT_BYTES // (4 * model.vocabulary_size)
        self._outputs = max(options.max_sequences, min(_MAX_OUTPUTS, most))
        self._handle: Any = self._create()
        self._memory = self._c.llama_get_memory(self._handle)
        self.size = int(self._c.llama_n_ctx(self._handle))
        self._batch = Batch(int(self._c.llama_n_batch(self._handle)))
        self._free = list(range(options.max_sequences))
        self._lengths = [0] * options.max_sequences
        self._adapter: Any = None

    def _create(self) -> Any:
        options = self.options
        parameters = self._c.llama_context_default_params()
        parameters.n_ctx = options.n_ctx
        parameters.n_batch = options.n_batch
        parameters.n_seq_max = options.max_sequences
        parameters.n_outputs_max = self._outputs
        parameters.flash_attn_type = _NO_FLASH_ATTENTION
        parameters.kv_unified = True  # several answers share the cells of one context
        parameters.type_k = parameters.type_v = _KV_TYPES[options.kv_type]
        threads = options.threads or usable_cores()
        parameters.n_threads = parameters.n_threads_batch = threads
        with errors_logged() as errors:
            handle = self._c.llama_init_from_model(self._model.handle, parameters)
        if not handle:
            raise BackendError(
                f"cannot make a cache of {options.n_ctx} tokens"
                f" ({errors[0] if errors else 'out of memory'}): use a smaller n_ctx"
            )
        return handle

    @property
    def closed(self) -> bool:
        return self._handle is None

    def after_fork(self) -> None:
        """Only one thread computes in a forked child: the pools of the others are not there, and
        OpenMP would wait for them. Raises BackendError for a model on a GPU."""
        if self._model.on_gpu:
            raise BackendError(
                "a model on a GPU does not outlive a fork: load the estimator after the fork"
            )
        if not self.closed:
            self._c.llama_set_n_threads(self._handle, 1, 1)

    # --- sequences ------------------------------------------------------------------------------

    @property
    def free_sequences(self) -> int:
        self._collect()
        return len(self._free)

    @property
    def room(self) -> int:
        """Tokens that still fit the cache for certain: shared prefixes are counted more than
        once."""
        self._collect()
        return self.size - sum(self._lengths)

    def length(self, slot: Slot) -> int:
        """Tokens that the sequence holds."""
        return self._lengths[slot.number]

    def new(self) -> Slot:
        """An empty sequence. Raises BackendError when there are too many."""
        self._collect()
        if not self._free:
            raise BackendError(
                f"all {self.options.max_sequences} sequences are in use: release the KVs that are"
                " done with, or load with more max_sequences"
            )
        return Slot(self, self._free.pop())

    def fork(self, slot: Slot, length: int) -> Slot:
        """A new sequence that begins with the first `length` tokens of another, in its cells."""
        self.check(slot)
        branch = self.new()
        if length:
            self._c.llama_memory_seq_cp(self._memory, slot.number, branch.number, 0, length)
        self._lengths[branch.number] = length
        return branch

    def cut(self, slot: Slot, length: int) -> None:
        """Forget what stands behind the first `length` tokens."""
        self.check(slot)
        if length < self.length(slot):
            self._c.llama_memory_seq_rm(self._memory, slot.number, length, -1)
            self._lengths[slot.number] = length

    def free(self, slot: Slot) -> None:
        """End a sequence. What it shares with others stays."""
        if slot.number >= 0:
            number, slot.number = slot.number, -1
            self._end(number)

    def check(self, slot: object) -> None:
        """Raise BackendError unless this is a live sequence of this cache."""
        if not isinstance(slot, Slot) or slot.number < 0:
            raise BackendError("this KV was released: score the answer's text, or generate again")
        if slot.owner is not self:
            raise BackendError("this KV belongs to another backend")

    def _end(self, number: int) -> None:
        if self._handle:
            self._c.llama_memory_seq_rm(self._memory, number, -1, -1)
        self._lengths[number] = 0
        self._free.append(number)

    def _collect(self) -> None:
        while self.dropped:
            self._end(self.dropped.popleft())

    # --- reading --------------------------------------------------------------------------------

    def read(
        self, rows: Sequence[Row], adapter: Any = None, *, hidden: bool = False
    ) -> list[Reading]:
        """Append each row's tokens to its sequence, in as few decodes as fit, with the adapter on
        for all of them or for none.

        `hidden` also returns the last layer at each row's last token; rows should be short then, as
        every token gets logits. Raises UsageError, BackendError, NonFiniteScoreError.
        """
        self._check_rows(rows)
        lengths = [self.length(row.slot) for row in rows]
        return self._read(Layout.of(rows, lengths, every_output=hidden), adapter, hidden=hidden)

    def read_tree(self, rows: Sequence[Row], adapter: Any = None) -> list[Reading]:
        """As `read`, of rows of which only the entries to `pick` are wanted, and whose sequences
        hold the same tokens so far: what several begin with is read once."""
        self._check_rows(rows)
        return self._read(Layout.of_tree(rows, self.length(rows[0].slot)), adapter)

    def _read(self, layout: Layout, adapter: Any, *, hidden: bool = False) -> list[Reading]:
        self._activate(adapter)
        readings = [Reading(np.zeros(len(row.targets), np.float32)) for row in layout.rows]
        if hidden:
            self._c.llama_set_embeddings(self._handle, True)
        try:
            for portion in layout.portions(self._batch.size, self._outputs):
                self._batch.fill(layout, portion)
                self._decode()
                self._take(layout, portion, readings, hidden)
        finally:
            if hidden:
                self._c.llama_set_embeddings(self._handle, False)
        for row in layout.rows:
            self._lengths[row.slot.number] += len(row.ids)
        return readings

    def _check_rows(self, rows: Sequence[Row]) -> None:
        if not rows or len({row.slot.number for row in rows}) < len(rows):
            raise UsageError("a read takes one or more rows, each of its own sequence")
        for row in rows:
            self.check(row.slot)
            if not len(row.ids):
                raise UsageError("zero tokens cannot be read")
            if row.ids.min() < 0 or row.ids.max() >= self._model.vocabulary_size:
                raise UsageError(
                    f"token ids must be below {self._model.vocabulary_size}, the vocabulary's size"
                )
            length = self.length(row.slot) + len(row.ids)
            if length > self.max_tokens:
                raise UsageError(
                    f"a sequence of {length} tokens is longer than the {self.max_tokens} that fit:"
                    " shorten it, or load with a larger n_ctx if the model reads more"
                )

    def _activate(self, adapter: Any) -> None:
        if adapter is self._adapter:
            return
        if adapter is None:
            failed = self._c.llama_set_adapters_lora(self._handle, None, 0, None)
        else:
            handles = (self._c.llama_adapter_lora_p_ctypes * 1)(adapter)
            failed = self._c.llama_set_adapters_lora(
                self._handle, handles, 1, (ctypes.c_float * 1)(1.0)
            )
        if failed:
            raise BackendError("llama.cpp refused to switch the adapter")
        self._adapter = adapter

    def _decode(self) -> None:
        with errors_logged() as errors:
            status = self._c.llama_decode(self._handle, self._batch.native)
        if status == _FULL:
            raise BackendError(
                f"the cache of {self.size} tokens is full: release the KVs that are done with, or"
                " load with a larger n_ctx"
            )
        if status:
            raise BackendError(
                f"llama.cpp failed to decode (status {status}):"
                f" {errors[0] if errors else 'no reason given'}"
            )

    def _take(
        self, layout: Layout, portion: slice, readings: Sequence[Reading], hidden: bool
    ) -> None:
        """Copy what the rows want out of llama.cpp's buffers, which the next decode overwrites."""
        outputs = np.flatnonzero(layout.wanted[portion]) + portion.start
        if not len(outputs):
            return
        logits = np.ctypeslib.as_array(
            self._c.llama_get_logits(self._handle),
            shape=(len(outputs), self._model.vocabulary_size),
        )
        for row, start, end, reading in zip(
            layout.rows, layout.starts, layout.ends, readings, strict=True
        ):
            low, high = np.searchsorted(start + row.at, (portion.start, portion.stop))
            if low < high:
                places = np.searchsorted(outputs, start + row.at[low:high])
                targets = row.targets[low:high]
                reading.logprobs[low:high] = token_logprobs(logits, places, targets)
            if not portion.start < end <= portion.stop:
                continue
            if row.pick is not None:
                reading.logits = logits[np.searchsorted(outputs, end - 1)][row.pick].copy()
            if hidden:
                reading.hidden = self._embedding(int(end - 1 - portion.start))

    def _embedding(self, place: int) -> NDArray[np.float32]:
        """The last layer at one token of the batch."""
        vector = self._c.llama_get_embeddings_ith(self._handle, place)
        if not vector:
            raise BackendError(
                "llama.cpp gives no hidden states of this model: use the transformers backend"
            )
        return np.ctypeslib.as_array(vector, shape=(self._model.hidden_size,)).copy()

    # --- state ----------------------------------------------------------------------------------

    def save(self, slot: Slot) -> bytes:
        """A sequence's cells, as llama.cpp writes them."""
        self.check(slot)
        size = self._c.llama_state_seq_get_size(self._handle, slot.number)
        data = (ctypes.c_uint8 * size)()
        if self._c.llama_state_seq_get_data(self._handle, data, size, slot.number) != size:
            raise BackendError("llama.cpp could not save the state of a sequence")
        return bytes(data)

    def restore(self, data: bytes, length: int) -> Slot:
        """A sequence of `length` tokens from what `save` returned: unchanged, that is."""
        slot = self.new()
        raw = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        with errors_logged() as errors:
            read = self._c.llama_state_seq_set_data(self._handle, raw, len(data), slot.number)
        if read != len(data):
            self.free(slot)
            raise BackendError(
                f"a saved state does not fit this cache ({errors[0] if errors else 'it is full'}):"
                " load with the same kv_type and a large enough n_ctx"
            )
        self._lengths[slot.number] = length
        return slot

    def close(self) -> None:
        """Free the cache. Slots may live on; they can be freed, and nothing else."""
        if self._handle:
            self._c.llama_free(self._handle)
        self._handle = None


def usable_cores() -> int:
    """Of this process, which a container, `taskset` or, as for torch, OMP_NUM_THREADS may have
    bound to fewer than there are: threads beyond those spin, and take time from others."""
    bound = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if bound else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(cores, int(wanted) or cores) if wanted.isdecimal() else cores
