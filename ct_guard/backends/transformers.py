"""Hugging Face causal language models with PEFT adapters, on CPU or GPU: the same code."""

import copy
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from ct_guard.errors import BackendError, MismatchError, MissingExtraError, UsageError
from ct_guard.query import Query
from ct_guard.records import Message

from .base import KV, Activation, Adapter, Capabilities, Generation, Item, ScoreBatch, Stream, Want
from .decoding import AnswerStream, Settings, exhausted
from .fingerprint import fingerprint
from .generation import CacheReader, end_ids, generate_batch
from .loading import loading_problem
from .placement import out_of_memory, pick_device, pick_dtype
from .scoring import ScoreJob
from .tokens import TokenizerEncoder

__all__ = ["TransformersBackend"]

Device = Literal["auto", "cpu", "cuda", "mps"] | str
AUTO_BATCH_SIZE = 64
AUTO_BATCH_TOKENS = 16_384


class TransformersBackend:
    """Owns a model, its adapters and one lock; safe to call from any thread, one call at a time."""

    name = "transformers"

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        fingerprint: str = "",
        batch_size: int | None = None,
    ) -> None:
        self._model = model.eval()
        self._config = model.config
        self._tokens = TokenizerEncoder(tokenizer)
        self._fingerprint = fingerprint
        self._auto = batch_size is None
        self._batch_size = batch_size or AUTO_BATCH_SIZE
        self._peft: PeftModel | None = None
        self._adapters: dict[str, Path] = {}
        self._lock = threading.RLock()
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
        quantization: Literal["8bit", "4bit"] | None = None,
    ) -> "TransformersBackend":
        """Load a base model from a directory or the hub: safetensors only, no remote code.

        `device` "auto" takes CUDA, then MPS, then the CPU; `dtype` "auto" is float32 on the CPU and
        the checkpoint's own elsewhere. Raises BackendError when the model cannot be loaded.
        """
        if not Path(source).is_dir() and _is_path(source):
            raise BackendError(f"no base model at {str(source)!r}: there is no such directory")
        where = pick_device(device)
        number = pick_dtype(dtype, where)
        kwargs: dict[str, Any] = {"revision": revision} if revision else {}
        if quantization is not None:
            if find_spec("bitsandbytes") is None:
                raise MissingExtraError("a base model in 8 or 4 bits", "quant")
            from transformers import BitsAndBytesConfig

            eight = quantization == "8bit"
            kwargs["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
                load_in_8bit=eight,
                load_in_4bit=not eight,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_compute_dtype=torch.bfloat16,
            )
            kwargs["device_map"] = {"": where}
        try:
            with _quiet():
                tokenizer = AutoTokenizer.from_pretrained(
                    source, revision=revision, trust_remote_code=False
                )
                model = AutoModelForCausalLM.from_pretrained(
                    source,
                    dtype=number,
                    use_safetensors=True,
                    trust_remote_code=False,
                    **kwargs,
                )
            if quantization is None:
                model = model.to(where)  # type: ignore[arg-type]
        except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
            raise BackendError(
                f"cannot load the base model {str(source)!r}: {loading_problem(error)}"
            ) from error
        return cls(
            model, tokenizer, fingerprint=fingerprint(source, revision), batch_size=batch_size
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
    def vocabulary_size(self) -> int:
        return int(self._config.get_text_config(decoder=True).vocab_size)

    @property
    def device(self) -> str:
        return str(self._model.device)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            activations=frozenset[Activation](("query", "all")),
            kv_handles=True,
            answer_logprobs=True,
            hidden_states=True,
            generates=True,
        )

    @property
    def max_tokens(self) -> int:
        return int(getattr(self._config, "max_position_embeddings", None) or 2048)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._model = self._peft = None

    # --- text -----------------------------------------------------------------------------------

    @property
    def start_ids(self) -> tuple[int, ...]:
        return self._tokens.start_ids

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return self._tokens.encode(text, special=special)

    def encode_whole(self, text: str) -> list[int]:
        return self._tokens.encode_whole(text)

    def decode(self, ids: Sequence[int]) -> str:
        return self._tokens.decode(ids)

    def label_id(self, label: str) -> int:
        return self._tokens.label_id(label)

    def render_chat(self, messages: Sequence[Message], *, generation_prompt: bool) -> str:
        return self._tokens.render_chat(messages, generation_prompt=generation_prompt)

    # --- adapters -------------------------------------------------------------------------------

    def add_adapter(self, adapter: Adapter) -> None:
        """Load an adapter's weights (safetensors) beside those already there."""
        with self._lock:
            if self._adapters.get(adapter.name) == adapter.path:
                return
            if adapter.name in self._adapters:
                raise UsageError(f"another adapter named {adapter.name!r} is loaded already")
            if not (adapter.path / "adapter_model.safetensors").is_file():
                raise MismatchError(f"no adapter_model.safetensors in {adapter.path}")
            try:
                with _quiet():
                    self._load_weights(adapter)
            except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
                self._forget(adapter.name)
                first = str(error).strip().splitlines()[0]
                raise MismatchError(
                    f"the adapter {adapter.path} does not fit this base model: {first}"
                ) from error
            self._adapters[adapter.name] = adapter.path
            self._tuner.eval()
            self._tuner.disable_adapter_layers()

    def _load_weights(self, adapter: Adapter) -> None:
        path = str(adapter.path)
        if self._peft is None:
            config = PeftConfig.from_pretrained(path)
            config.inference_mode = True
            self._peft = PeftModel(self._model, config, adapter_name=adapter.name)
        loaded = self._peft.load_adapter(path, adapter_name=adapter.name)
        for kind, keys in (
            ("lacks", loaded.missing_keys),
            ("has no place for", loaded.unexpected_keys),
        ):
            if keys:
                raise ValueError(f"it {kind} {keys[0]}")

    def _forget(self, name: str) -> None:
        """Take an adapter that could not be loaded out of the model again."""
        if self._peft is None:
            return
        if name in self._peft.peft_config:
            self._peft.delete_adapter(name)
        self._tuner.disable_adapter_layers()

    def create_adapter(self, adapter: Adapter, config: LoraConfig) -> list[torch.nn.Parameter]:
        """Put a fresh LoRA into the model, to be trained, in place of one of the same name; returns
        its weights."""
        with self._lock:
            if adapter.name in self._adapters:
                del self._adapters[adapter.name]
                self._forget(adapter.name)
            if self._peft is None:
                self._peft = PeftModel(self._model, config, adapter_name=adapter.name)
            else:
                self._peft.add_adapter(adapter.name, config)
            self._adapters[adapter.name] = adapter.path
            self._tuner.disable_adapter_layers()
            return [
                weight
                for name, weight in self._model.named_parameters()
                if f".{adapter.name}." in name
            ]

    def checkpoint_gradients(self, on: bool) -> None:
        """Whether training computes activations twice instead of keeping them. The model then keeps
        no cache where gradients flow."""
        with self._lock, _quiet():
            if on:
                self._model.gradient_checkpointing_enable({"use_reentrant": False})
            elif self._model.is_gradient_checkpointing:
                self._model.gradient_checkpointing_disable()

    def save_adapter(self, adapter: Adapter) -> None:
        """Write the adapter's current weights to its path, as safetensors; a file there stays whole
        until the new one is. Raises BackendError where it cannot be written."""
        with self._lock:
            tensors = {
                key: value.contiguous().cpu()
                for key, value in get_peft_model_state_dict(
                    self._peft, adapter_name=adapter.name
                ).items()
            }
            adapter.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".saving-", dir=adapter.path) as building:
                self._config_of(adapter).save_pretrained(building)
                try:
                    save_file(tensors, Path(building) / "adapter_model.safetensors")
                except SafetensorError as error:  # a full disk, say
                    raise BackendError(
                        f"{adapter.path}: cannot be written: {error}: make room"
                    ) from error
                for path in Path(building).iterdir():
                    path.replace(adapter.path / path.name)

    def reload_adapter(self, adapter: Adapter) -> None:
        """Take the adapter's weights back from its path."""
        with self._lock:
            tensors = load_file(adapter.path / "adapter_model.safetensors")
            set_peft_model_state_dict(self._peft, tensors, adapter_name=adapter.name)
            self._tuner.disable_adapter_layers()

    @contextmanager
    def adapted(self, name: str | None, *, training: bool = False) -> Iterator[None]:
        """The named adapter on inside, every adapter off outside; None leaves all off. `training`
        turns on its dropout and gradients."""
        if name is None:
            yield
            return
        self._tuner.set_adapter(name, inference_mode=not training)
        self._tuner.enable_adapter_layers()
        self._model.train(training)
        try:
            yield
        finally:
            self._model.eval()
            self._tuner.disable_adapter_layers()

    @property
    def _tuner(self) -> Any:
        if self._peft is None:
            raise UsageError("no adapter is loaded")
        return self._peft.base_model

    def _config_of(self, adapter: Adapter) -> Any:
        config = copy.copy(self._tuner.peft_config[adapter.name])
        config.inference_mode = True
        return config

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

    def in_batches(
        self, rows: Sequence[int], lengths: Sequence[int], work: Callable[[list[int]], None]
    ) -> None:
        """Call `work` on slices of `rows`, whose `lengths` in tokens ascend. A batch holds at most
        `batch_size` rows and, when its size is automatic, about `AUTO_BATCH_TOKENS` tokens with
        padding. On out-of-memory, the size is halved for good and the slice done again."""
        start = 0
        while start < len(rows):
            size = min(self._batch_size, len(rows) - start)
            while self._auto and size > 1 and size * lengths[start + size - 1] > AUTO_BATCH_TOKENS:
                size -= 1
            batch = list(rows[start : start + size])
            try:
                work(batch)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                if not self._auto or len(batch) == 1:
                    raise BackendError(
                        f"out of memory with {len(batch)} rows in a batch: use a smaller"
                        " --batch-size or a shorter token budget"
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
        *,
        max_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> list[Generation]:
        settings = Settings(max_tokens, temperature, top_p, seed, tuple(stop))
        if len(prompts) == 1:
            return [exhausted(self._start(prompts[0], None, settings))]
        with self.working():
            for prompt in prompts:
                settings.check_prompt(prompt, self.max_tokens)
            return generate_batch(self._model, self._tokens, prompts, settings) if prompts else []

    def stream(
        self,
        prompt: Sequence[int],
        *,
        past: KV | None = None,
        max_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> Stream:
        settings = Settings(max_tokens, temperature, top_p, seed, tuple(stop))
        return self._start(prompt, past, settings)

    def release(self, kv: KV) -> None:
        kv.handle = None

    def _start(self, prompt: Sequence[int], past: KV | None, settings: Settings) -> Stream:
        with self.working():
            settings.check_prompt(prompt, self.max_tokens)
            reader = CacheReader(self, prompt, past)
            ends = end_ids(self._model, self._tokens)
            return AnswerStream(reader, prompt, settings, voice=self._tokens, ends=ends)

    @contextmanager
    def working(self) -> Iterator[None]:
        """The lock held, without gradients. Raises BackendError when the backend is closed."""
        with self._lock, torch.inference_mode():
            if self._closed:
                raise BackendError("this backend is closed")
            yield


def _is_path(source: str | Path) -> bool:
    """Whether this can only be meant as a directory: hub ids have one slash inside at most."""
    return isinstance(source, Path) or source.startswith((".", "/", "~")) or source.count("/") > 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the model libraries' progress bars and warnings about each other."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
