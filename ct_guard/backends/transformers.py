"""Hugging Face causal language models with PEFT adapters, on CPU or GPU: the same code."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig

from ct_guard.errors import BackendError
from ct_guard.forks import ForkLock
from ct_guard.query import Query

from .asking import ask
from .base import (
    KV,
    Activation,
    Adapter,
    Asked,
    Asking,
    Capabilities,
    Generation,
    GenerationSettings,
    Item,
    Manner,
    PlainRow,
    ScoreBatch,
    Stream,
    Want,
)
from .decoding import AnswerStream, exhausted
from .fingerprint import digest, fingerprint
from .forward import Decoder
from .generation import CacheReader, end_ids, generate_batch
from .loading import Device, Quantization, load_model
from .lora import LoraAdapters
from .placement import number_format, out_of_memory
from .plain import read_plainly
from .pretrained import quiet
from .scoring import ScoreJob
from .tokens import TokenizerEncoder

__all__ = ["TransformersBackend"]

AUTO_BATCH_SIZE = 64
AUTO_BATCH_TOKENS = {"cpu": 2_048}
"""By kind of device; a processor's cores are busy with few, and more only take memory."""
AUTO_BATCH_TOKENS_ELSEWHERE = 16_384
SMALL = 20_000_000
"""Parameters. Below, a forward's fixed cost outweighs its arithmetic also on a CPU."""


class TransformersBackend:
    """Owns a model, its adapters and one lock; safe to call from any thread, one call at a time."""

    name = "transformers"
    manners: tuple[Manner, ...] = ("together", "alone", "whole")

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        fingerprint: str = "",
        digest: str = "",
        batch_size: int | None = None,
    ) -> None:
        _one_thread_in_forks()
        self._model = model.eval()
        self._config = model.config.get_text_config(decoder=True)
        self.decoder = Decoder(self._model)
        self._takes_positions = self.decoder.takes_positions
        self.manner: Manner = "together"
        self.noise: float | None = None
        self.encoder = TokenizerEncoder(tokenizer)
        self._fingerprint, self._digest = fingerprint, digest
        self._auto = batch_size is None
        self._batch_size = batch_size or AUTO_BATCH_SIZE
        self._adapters = LoraAdapters(self._model)
        self._batching_gains = model.device.type != "cpu" or model.num_parameters() < SMALL
        self._lock = ForkLock(partial(_after_fork, model.device))
        self._closed = False

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        revision: str | None = None,
        device: Device = "auto",
        dtype: str = "auto",
        batch_size: int | None = None,
        quantization: Quantization | None = None,
    ) -> "TransformersBackend":
        """Load a base model from a directory, a GGUF file or the hub: safetensors only, no remote
        code.

        `device` "auto" takes CUDA, then MPS, then the CPU; `dtype` "auto" is the checkpoint's own
        on a GPU, and on a CPU bfloat16 where it is faster there, else float32.
        Raises BackendError when the model cannot be loaded.
        """
        model, tokenizer = load_model(
            source, revision=revision, device=device, dtype=dtype, quantization=quantization
        )
        return cls(
            model,
            tokenizer,
            fingerprint=fingerprint(source, revision),
            digest=digest(source, revision),
            batch_size=batch_size,
        )

    # --- the model ------------------------------------------------------------------------------

    @property
    def model(self) -> Any:
        """The Hugging Face model, with whatever adapters were loaded into it."""
        return self._model

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def vocabulary_size(self) -> int:
        return int(self._config.vocab_size)

    @property
    def device(self) -> str:
        return str(self._model.device)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            activations=frozenset[Activation](("query", "all")),
            kv_handles=self.manner != "whole",
            answer_logprobs=True,
            hidden_states=True,
            generates=True,
            positions=self._takes_positions,
            batching_gains=self._batching_gains,
        )

    @property
    def format(self) -> str:
        return number_format(self._model)

    @property
    def max_tokens(self) -> int:
        """Where the rotary frequencies change with the longest row of a batch (`longrope`,
        `dynamic`), it is the length up to which they do not."""
        longest = getattr(self._config, "max_position_embeddings", None) or getattr(
            self._config, "max_seq_len", None
        )
        rope = getattr(self._config, "rope_parameters", None) or {}
        kinds = [rope, *(part for part in rope.values() if isinstance(part, dict))]
        if any(part.get("rope_type") in ("longrope", "dynamic") for part in kinds):
            first = [part.get("original_max_position_embeddings") for part in kinds]
            first.append(getattr(self._config, "original_max_position_embeddings", None))
            longest = min([length for length in (longest, *first) if length], default=None)
        return int(longest or 2048)

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                del self.decoder
            self._closed = True
            self._model, self._adapters = None, LoraAdapters(None)

    # --- adapters -------------------------------------------------------------------------------

    def add_adapter(self, adapter: Adapter) -> None:
        """Load an adapter's weights (safetensors) beside those already there. Raises MismatchError
        when they do not fit, UsageError when another adapter has the name."""
        with self._lock:
            self._adapters.add(adapter)

    def create_adapter(self, adapter: Adapter, config: LoraConfig) -> list[torch.nn.Parameter]:
        """Put a fresh LoRA into the model, to be trained, in place of one of the same name; returns
        its weights."""
        with self._lock:
            return self._adapters.create(adapter, config)

    def save_adapter(self, adapter: Adapter) -> None:
        """Write the adapter's current weights to its path. Raises BackendError where it cannot."""
        with self._lock:
            self._adapters.save(adapter)

    def reload_adapter(self, adapter: Adapter) -> None:
        """Take the adapter's weights back from its path."""
        with self._lock:
            self._adapters.reload(adapter)

    def adapted(self, name: str | None, *, training: bool = False) -> AbstractContextManager[None]:
        """The named adapter on inside, every adapter off outside, see `LoraAdapters.on`."""
        return self._adapters.on(name, training=training)

    def checkpoint_gradients(self, on: bool) -> None:
        """Whether training computes activations twice instead of keeping them. The model then keeps
        no cache where gradients flow."""
        with self._lock, quiet():
            if on:
                self._model.gradient_checkpointing_enable({"use_reentrant": False})
            elif self._model.is_gradient_checkpointing:
                self._model.gradient_checkpointing_disable()

    # --- scoring --------------------------------------------------------------------------------

    def score(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> ScoreBatch:
        with self._lock:
            if adapter is not None and not self._closed:
                # not inside of inference mode, or these weights could never be tuned
                self.add_adapter(adapter)
            with self.working():
                return ScoreJob(self, items, query, adapter, want).run()

    def ask(self, asking: Asking) -> Asked:
        with self._lock:
            for adapter in (asking.adapter, asking.first_adapter):
                if adapter is not None and not self._closed:
                    self.add_adapter(adapter)
            with self.working():
                return ask(self, asking)

    def read_plainly(self, row: PlainRow, tokens: Sequence[int]) -> NDArray[np.float32]:
        with self._lock:
            if row.adapter is not None and not self._closed:
                self.add_adapter(row.adapter)
            with self.working():
                return read_plainly(self, row, tokens)

    def in_batches(
        self, rows: Sequence[int], lengths: Sequence[int], work: Callable[[list[int]], None]
    ) -> None:
        """Call `work` on slices of `rows`, whose `lengths` in tokens ascend. A batch holds at most
        `batch_size` rows and, when its size is automatic, about `AUTO_BATCH_TOKENS` tokens with
        padding. 16-bit numbers on a CPU come in powers of two, as every shape is compiled there. On
        out-of-memory, the size is halved for good and the slice done again."""
        start = 0
        while start < len(rows):
            size = min(self._batch_size, len(rows) - start)
            kind = self._model.device.type
            most = AUTO_BATCH_TOKENS.get(kind, AUTO_BATCH_TOKENS_ELSEWHERE)
            while self._auto and size > 1 and size * lengths[start + size - 1] > most:
                size -= 1
            if self.decoder.few_sizes:
                size = 1 << (size.bit_length() - 1)
            batch = list(rows[start : start + size])
            try:
                work(batch)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                if not self._auto or len(batch) == 1:
                    raise BackendError(
                        f"out of memory with {len(batch)} rows in a batch: use a smaller"
                        " `batch_size` or a shorter token budget"
                    ) from error
                self._batch_size = max(1, len(batch) // 2)
                torch.cuda.empty_cache()
                continue
            start += len(batch)

    @property
    def batch_size(self) -> int:
        return self._batch_size

    @property
    def window(self) -> int | None:
        """Slots of a sliding-window cache; beyond it, padding would push tokens out."""
        window = getattr(self._config, "sliding_window", None)
        return int(window) if window else None

    # --- generation -----------------------------------------------------------------------------

    def generate(
        self,
        prompts: Sequence[tuple[int, ...]],
        settings: GenerationSettings,
    ) -> list[Generation]:
        if len(prompts) == 1:
            return [exhausted(self._start(prompts[0], None, settings))]
        with self.working():
            for prompt in prompts:
                settings.check_prompt(prompt, self.max_tokens)
            return generate_batch(self._model, self.encoder, prompts, settings) if prompts else []

    def stream(
        self,
        prompt: Sequence[int],
        settings: GenerationSettings,
        *,
        past: KV | None = None,
    ) -> Stream:
        return self._start(prompt, past, settings)

    def release(self, kv: KV) -> None:
        kv.handle = None

    def _start(
        self, prompt: Sequence[int], past: KV | None, settings: GenerationSettings
    ) -> Stream:
        with self.working():
            settings.check_prompt(prompt, self.max_tokens)
            reader = CacheReader(self, prompt, past)
            ends = end_ids(self._model, self.encoder)
            return AnswerStream(reader, prompt, settings, encoder=self.encoder, ends=ends)

    @contextmanager
    def working(self) -> Iterator[None]:
        """The lock held, without gradients. Raises BackendError when the backend is closed."""
        with self._lock, torch.inference_mode():
            if self._closed:
                raise BackendError("this backend is closed")
            yield


def _after_fork(device: torch.device) -> None:
    if device.type != "cpu":
        raise BackendError(
            f"a model on {device} does not outlive a fork: load the estimator after the fork"
        )


@cache
def _one_thread_in_forks() -> None:
    """From the first model on, a process that is forked off this one computes in one thread,
    whether a model still lives by then or not: OpenMP would wait for threads that are not there."""
    if hasattr(os, "register_at_fork"):  # Windows does not fork
        os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))
