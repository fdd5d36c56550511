"""llama.cpp by hand: one model, one adapter, one sequence, through the C interface alone."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import llama_cpp
import numpy as np

from ct_guard.backends.llama_cpp.library import library

__all__ = ["BareLlama"]


class BareLlama:
    """No checks, no bookkeeping. The cache is F16, as the backend's default is."""

    def __init__(self, base: Path, adapter: Path, *, context: int, batch: int, threads: int):
        self._c = library()
        self._model = self._c.llama_model_load_from_file(
            str(base).encode(), self._c.llama_model_default_params()
        )
        self._adapter = self._c.llama_adapter_lora_init(self._model, str(adapter).encode())
        parameters = self._c.llama_context_default_params()
        parameters.n_ctx, parameters.n_batch = context, batch
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = self._c.llama_init_from_model(self._model, parameters)
        self._memory = self._c.llama_get_memory(self._context)
        self._batch = self._c.llama_batch_init(batch, 0, 1)
        self._size = self._c.llama_vocab_n_tokens(self._c.llama_model_get_vocab(self._model))

    def switch(self, on: bool) -> None:
        handles = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(self._adapter)
        scales = (ctypes.c_float * 1)(1.0)
        self._c.llama_set_adapters_lora(
            self._context, handles if on else None, int(on), scales if on else None
        )

    def read(self, ids: Sequence[int], start: int, labels: Sequence[int]) -> list[float]:
        """Decode `ids` at position `start`, what stood there forgotten; logits of the labels."""
        self._c.llama_memory_seq_rm(self._memory, 0, start, -1)
        batch, last = self._batch, len(ids) - 1
        batch.n_tokens = len(ids)
        for at, token in enumerate(ids):
            batch.token[at], batch.pos[at], batch.logits[at] = token, start + at, at == last
            batch.n_seq_id[at], batch.seq_id[at][0] = 1, 0
        if self._c.llama_decode(self._context, batch):
            raise RuntimeError("llama_decode failed")
        logits = self._c.llama_get_logits_ith(self._context, last)
        return np.ctypeslib.as_array(logits, (self._size,))[list(labels)].tolist()

    def close(self) -> None:
        self._c.llama_batch_free(self._batch)
        self._c.llama_free(self._context)
        self._c.llama_adapter_lora_free(self._adapter)
        self._c.llama_model_free(self._model)
