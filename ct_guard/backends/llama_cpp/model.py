"""A base model in llama.cpp's memory: its weights, its adapters, and what it is."""

from pathlib import Path
from typing import Any

from ct_guard.backends.gguf_info import GGUFInfo
from ct_guard.errors import BackendError, MismatchError

from .library import errors_logged, library

__all__ = ["Model"]

ALL_LAYERS = -1


class Model:
    """Owns the weights until `free`. The file must have passed `validate_base`.

    `n_gpu_layers` None puts all layers on the GPU where the build has one. `vocabulary_only` loads
    no weights. Raises BackendError.
    """

    def __init__(
        self, info: GGUFInfo, *, n_gpu_layers: int | None = None, vocabulary_only: bool = False
    ) -> None:
        self.info = info
        self._c = library()
        if n_gpu_layers and not self._c.llama_supports_gpu_offload():
            raise BackendError(
                "this build of llama.cpp has no GPU support: leave n_gpu_layers out, or install"
                " llama-cpp-python with CUDA, Metal or Vulkan"
            )
        parameters = self._c.llama_model_default_params()
        parameters.n_gpu_layers = ALL_LAYERS if n_gpu_layers is None else n_gpu_layers
        parameters.vocab_only = vocabulary_only
        self.on_gpu = bool(parameters.n_gpu_layers and self._c.llama_supports_gpu_offload())
        self._adapters: list[Any] = []
        with errors_logged() as errors:
            self.handle = self._c.llama_model_load_from_file(str(info.path).encode(), parameters)
        if not self.handle:
            raise BackendError(
                f"cannot load the base model {info.path}: {_reason(errors)}; update"
                " llama-cpp-python, or use `backend` transformers over the directory that it was"
                " made from"
            )
        try:
            self._check_kind()
        except BackendError:
            self.free()
            raise
        self.vocabulary = self._c.llama_model_get_vocab(self.handle)
        self.vocabulary_size = int(self._c.llama_vocab_n_tokens(self.vocabulary))
        self.hidden_size = int(self._c.llama_model_n_embd_out(self.handle))

    def _check_kind(self) -> None:
        """Only caches that can be branched and cut anywhere serve several answers."""
        for kind in ("is_recurrent", "is_hybrid", "is_diffusion", "has_encoder"):
            if getattr(self._c, f"llama_model_{kind}")(self.handle):
                raise BackendError(
                    f"{self.info.path} is no plain decoder ({kind}): use the transformers backend"
                )

    @property
    def max_tokens(self) -> int:
        """Most tokens that the model was trained to read; of a model with a sliding window, those
        that no layer forgets, as a cache with gaps cannot be branched."""
        trained = int(self._c.llama_model_n_ctx_train(self.handle))
        window = int(self._c.llama_model_n_swa(self.handle))
        return min(trained, window - 1) if window else trained

    def load_adapter(self, path: Path) -> Any:
        """The handle of a LoRA file that passed `validate_adapter`. Raises MismatchError."""
        with errors_logged() as errors:
            adapter = self._c.llama_adapter_lora_init(self.handle, str(path).encode())
        if not adapter:
            raise MismatchError(f"cannot use the adapter {path}: {_reason(errors)}")
        self._adapters.append(adapter)
        return adapter

    def free(self) -> None:
        """Give the memory back, adapters first. Contexts over this model must be gone."""
        for adapter in self._adapters:
            self._c.llama_adapter_lora_free(adapter)
        self._adapters.clear()
        if self.handle:
            self._c.llama_model_free(self.handle)
        self.handle = None


def _reason(errors: list[str]) -> str:
    return errors[0] if errors else "llama.cpp gives no reason"
