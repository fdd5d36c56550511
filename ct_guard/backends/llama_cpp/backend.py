"""GGUF models on CPUs, or wherever this build of llama.cpp computes."""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.base import (
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
from ct_guard.backends.decoding import AnswerStream, exhausted
from ct_guard.backends.gguf_file import validate_adapter, validate_base
from ct_guard.errors import BackendError, MismatchError, UsageError
from ct_guard.files.cache import file_digest
from ct_guard.forks import ForkLock
from ct_guard.query import Query

from .asking import ask
from .context import Context, KVType, Options
from .float16 import in_float16
from .generation import SlotReader
from .model import Model
from .plain import read_plainly
from .scoring import LoadedAdapter, ScoreJob
from .state import pack, unpack
from .vocabulary import Vocabulary

__all__ = ["ADAPTER_FILE", "LlamaCppBackend", "find_base"]

ADAPTER_FILE = "adapter.gguf"
"""In an adapter's folder, beside the weights that it was converted from."""
DTYPES = ("auto", "float16")
SMALL = 20_000_000
"""Bytes of weights. Below, a read's fixed cost outweighs its arithmetic also on a CPU."""
_PATIENCE = 10.0
"""Seconds that the end of the process waits for a call that still runs in another thread."""


class LlamaCppBackend:
    """Owns a model, its adapters, one cache and one lock; safe to call from any thread, one call at
    a time."""

    name = "llama_cpp"
    manners: tuple[Manner, ...] = ("together",)

    def __init__(
        self,
        model: Model,
        options: Options,
        *,
        fingerprint: str = "",
        digest: str = "",
        batch_size: int | None = None,
    ) -> None:
        self._model = model
        self.cache = Context(model, options)
        self.encoder = Vocabulary(model)
        self._fingerprint, self._digest = fingerprint, digest
        self._batch_size = batch_size
        self._adapters: dict[str, tuple[Path, object]] = {}
        self.manner: Manner = "together"
        self.noise: float | None = None
        self._lock = ForkLock(self.cache.after_fork)
        self._free = weakref.finalize(self, _free, self._lock, self.encoder, self.cache, model)

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        n_ctx: int = 4096,
        n_batch: int = 2048,
        threads: int | None = None,
        n_gpu_layers: int | None = None,
        dtype: str = "auto",
        kv_type: KVType = "f16",
        max_sequences: int = 64,
        batch_size: int | None = None,
    ) -> "LlamaCppBackend":
        """Load a base model from a GGUF file, or from a directory that holds one.

        `n_ctx` tokens fit the cache, of all live KVs and of the answers being read together.
        `threads` None takes all cores, or OMP_NUM_THREADS; `n_gpu_layers` None all layers where
        the build has a GPU.
        `dtype` "auto" takes the weights as the file has them, "float16" unpacks those in fewer
        bits: scores then are those of the weights, at 2 bytes a parameter.
        `kv_type` "f32" agrees with other backends to 1e-4, "f16" takes half the memory.
        `batch_size` limits the answers in one read. Weights are mapped, not copied.

        Raises BackendError for a file that cannot be used, UsageError for options out of range.
        """
        if dtype not in DTYPES:
            raise UsageError(
                f"dtype {dtype!r}: a GGUF file has its own precision (auto), or is unpacked to"
                " float16"
            )
        options = Options(n_ctx, n_batch, threads, kv_type, max_sequences)
        info = validate_base(find_base(source))
        digest = file_digest(info.path)
        fingerprint = info.fingerprint or digest[:16]
        if dtype == "float16":
            info = in_float16(info)
        model = Model(info, n_gpu_layers=n_gpu_layers)
        try:
            return cls(
                model, options, fingerprint=fingerprint, digest=digest, batch_size=batch_size
            )
        except BackendError:
            model.free()
            raise

    # --- the model ------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def format(self) -> str:
        return self._model.info.format

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def vocabulary_size(self) -> int:
        return self._model.vocabulary_size

    @property
    def max_tokens(self) -> int:
        return self.cache.max_tokens

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            activations=frozenset[Activation](("query", "all")),
            kv_handles=True,
            answer_logprobs=True,
            hidden_states=True,
            generates=True,
            live_tokens=self.cache.size,
            batching_gains=self._model.on_gpu or self._model.info.weight_bytes < SMALL,
        )

    def close(self) -> None:
        with self._lock:
            self._free()

    @contextmanager
    def working(self) -> Iterator[None]:
        """The lock held. Raises BackendError when the backend is closed."""
        with self._lock:
            if self.cache.closed:
                raise BackendError("this backend is closed")
            yield

    # --- scoring --------------------------------------------------------------------------------

    def add_adapter(self, adapter: Adapter) -> None:
        """Load an adapter, the file `adapter.gguf` in its folder, beside those already there.

        Raises MismatchError when there is none or it does not fit this base.
        """
        with self.working():
            path, _ = self._adapters.get(adapter.name, (None, None))
            if path == adapter.path:
                return
            if path is not None:
                raise UsageError(f"another adapter named {adapter.name!r} is loaded already")
            file = adapter.path / ADAPTER_FILE if adapter.path.is_dir() else adapter.path
            if not file.is_file():
                raise MismatchError(
                    f"no {ADAPTER_FILE} in {adapter.path}: make it with 'ct-guard export gguf'"
                )
            validate_adapter(file, self._model.info)
            self._adapters[adapter.name] = adapter.path, self._model.load_adapter(file)

    def read_plainly(self, row: PlainRow, tokens: Sequence[int]) -> NDArray[np.float32]:
        with self.working():
            return read_plainly(self.cache, row, tokens, self._handle(row.adapter))

    def score(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> ScoreBatch:
        with self.working():
            loaded = None
            if adapter is not None:
                loaded = LoadedAdapter(self._handle(adapter), adapter.activation)
            return ScoreJob(self.cache, items, query, loaded, want, self._batch_size).run()

    def ask(self, asking: Asking) -> Asked:
        with self.working():
            return ask(
                self.cache, asking, self._handle(asking.adapter), self._handle(asking.first_adapter)
            )

    def _handle(self, adapter: Adapter | None) -> object | None:
        """An adapter in llama.cpp's memory."""
        if adapter is None:
            return None
        self.add_adapter(adapter)
        return self._adapters[adapter.name][1]

    # --- generation -----------------------------------------------------------------------------

    def generate(
        self,
        prompts: Sequence[tuple[int, ...]],
        settings: GenerationSettings,
    ) -> list[Generation]:
        with self.working():
            for prompt in prompts:
                settings.check_prompt(prompt, self.max_tokens)
            if len(prompts) == 1:
                return [exhausted(self._start(prompts[0], None, settings))]
            return self._generate_in_turn(prompts, settings)

    def _generate_in_turn(
        self, prompts: Sequence[tuple[int, ...]], settings: GenerationSettings
    ) -> list[Generation]:
        """Answers without their KVs. Each begins with what its prompt shares with the one before:
        several samples of one prompt read it once."""
        made: list[Generation] = []
        past: KV | None = None
        for number, prompt in enumerate(prompts):
            seed = None if settings.seed is None else settings.seed + number
            one = exhausted(self._start(prompt, past, replace(settings, seed=seed)))
            if past is not None:
                self.release(past)
            past = one.kv
            made.append(replace(one, kv=None))
        if past is not None:
            self.release(past)
        return made

    def stream(
        self,
        prompt: Sequence[int],
        settings: GenerationSettings,
        *,
        past: KV | None = None,
    ) -> Stream:
        with self.working():
            settings.check_prompt(prompt, self.max_tokens)
            return self._start(prompt, past, settings)

    def _start(
        self, prompt: Sequence[int], past: KV | None, settings: GenerationSettings
    ) -> Stream:
        reader = SlotReader(self, prompt, past)
        return AnswerStream(
            reader, prompt, settings, encoder=self.encoder, ends=self.encoder.end_tokens
        )

    # --- live KVs -------------------------------------------------------------------------------

    def release(self, kv: KV) -> None:
        with self._lock:
            if kv.handle is not None and not self.cache.closed:
                self.cache.check(kv.handle)
                self.cache.free(kv.handle)
            kv.handle = None

    def save_state(self, kv: KV) -> bytes:
        """A KV as bytes, for `restore_state` of a backend over the same file and `kv_type`."""
        with self.working():
            self.cache.check(kv.handle)
            return pack(kv, self.cache.save(kv.handle), self._state_kind)

    def restore_state(self, data: bytes) -> KV:
        """The KV that `save_state` saved: nothing is read again.

        Raises BackendError for bytes that are damaged or were saved over another base.
        """
        with self.working():
            kv, cells = unpack(data, self._state_kind)
            kv.handle = self.cache.restore(cells, len(kv.ids))
            return kv

    @property
    def _state_kind(self) -> str:
        return f"{self._digest}/{self.cache.options.kv_type}"


def find_base(source: str | Path) -> Path:
    """The GGUF file that is meant: itself, or the only one in a directory. Raises BackendError."""
    path = Path(source)
    if not path.is_dir():
        if not path.is_file():
            raise BackendError(
                f"no base model at {str(source)!r}: the llama_cpp backend takes a GGUF file, which"
                " 'ct-guard export gguf' makes"
            )
        return path
    found = sorted(path.glob("*.gguf"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise BackendError(
            f"{path} should hold one GGUF file and holds {names}: give the file with `base`, or"
            " make it with 'ct-guard export gguf' (of the estimator, with --base DIR where its base"
            " is no directory)"
        )
    return found[0]


def _free(lock: ForkLock, vocabulary: Vocabulary, context: Context, model: Model) -> None:
    """Whoever holds a piece of the model goes before it. Runs also when the process ends, where a
    thread that goes on computing is not waited for."""
    if not lock.acquire(timeout=_PATIENCE):
        return
    try:
        vocabulary.close()
        context.close()
        model.free()
    finally:
        lock.release()
