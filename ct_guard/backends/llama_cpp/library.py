"""The C interface of llama.cpp as llama-cpp-python binds it: checked once, its log in `logging`."""

import ctypes
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from ct_guard.errors import BackendError, MissingExtraError

__all__ = ["check_symbols", "errors_logged", "library"]

_LOGGER = logging.getLogger("ct_guard.llama_cpp")
_LOGGER.addHandler(logging.NullHandler())  # without one, warnings would go to stderr

_REQUIRED = (
    "llama_adapter_lora_free", "llama_adapter_lora_init", "llama_backend_init",
    "llama_context_default_params", "llama_decode", "llama_free", "llama_get_embeddings_ith",
    "llama_get_logits", "llama_get_memory", "llama_init_from_model", "llama_log_set",
    "llama_memory_seq_cp", "llama_memory_seq_rm", "llama_model_default_params", "llama_model_free",
    "llama_model_get_vocab", "llama_model_has_encoder", "llama_model_is_diffusion",
    "llama_model_is_hybrid", "llama_model_is_recurrent", "llama_model_load_from_file",
    "llama_model_n_ctx_train", "llama_model_n_embd_out", "llama_model_n_swa",
    "llama_model_quantize", "llama_model_quantize_default_params", "llama_n_batch", "llama_n_ctx",
    "llama_set_adapters_lora", "llama_set_embeddings", "llama_set_n_threads",
    "llama_state_seq_get_data", "llama_state_seq_get_size", "llama_state_seq_set_data",
    "llama_supports_gpu_offload", "llama_token_to_piece", "llama_tokenize", "llama_vocab_bos",
    "llama_vocab_get_add_bos", "llama_vocab_is_control", "llama_vocab_is_eog",
    "llama_vocab_n_tokens",
)  # fmt: skip

_WARNING, _ERROR, _CONTINUED = 3, 4, 5
_LEVELS = {_WARNING: logging.WARNING, _ERROR: logging.ERROR}
"""llama.cpp's information is about its own inside: it counts as debugging here."""

_thread = threading.local()
_kept: list[Any] = []
"""The callback that llama.cpp holds must live as long as the library."""


@cache
def library() -> Any:
    """The bound functions, named as in `llama.h`.

    Raises MissingExtraError when llama-cpp-python is absent, BackendError when it cannot be used.
    """
    try:
        import llama_cpp.llama_cpp as bound
    except ModuleNotFoundError as error:
        raise MissingExtraError("the llama_cpp backend", "gguf") from error
    except (AttributeError, OSError, RuntimeError) as error:
        raise BackendError(
            f"llama-cpp-python cannot load its library ({error}): install it again"
        ) from error
    check_symbols(bound)
    callback = bound.llama_log_callback(_forward)
    _kept.append(callback)
    bound.llama_log_set(callback, ctypes.c_void_p(0))
    bound.llama_backend_init()
    return bound


def check_symbols(bound: object) -> None:
    """Raise BackendError that names a function which this build of llama.cpp lacks."""
    for name in _REQUIRED:
        if not hasattr(bound, name):
            raise BackendError(
                f"this build of llama.cpp lacks {name}: install a newer llama-cpp-python"
            )


@contextmanager
def errors_logged() -> Iterator[list[str]]:
    """Collects what llama.cpp complains of inside, in this thread: its calls return no reasons."""
    outer: list[str] | None = getattr(_thread, "errors", None)
    found: list[str] = []
    _thread.errors = found
    try:
        yield found
    finally:
        _thread.errors = outer


def _forward(level: int, text: bytes | None, _: object) -> None:
    """One piece of llama.cpp's log. Called from C: nothing may be raised."""
    severity = _LEVELS.get(level, logging.DEBUG)
    if not text or level == _CONTINUED:
        return
    if level < _ERROR and not _LOGGER.isEnabledFor(severity):
        return  # a switch of adapters alone says a hundred lines
    line = text.decode("utf-8", "replace").strip()
    errors: list[str] | None = getattr(_thread, "errors", None)
    if level == _ERROR and errors is not None:
        errors.append(line.partition(": ")[2] or line)
    _LOGGER.log(severity, "%s", line)
