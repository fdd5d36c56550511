"""How a base model comes to be run: by a backend of a name, a server, or one that is loaded."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ct_guard.backends import Backend
from ct_guard.errors import MissingExtraError, UsageError

__all__ = ["BACKENDS", "BaseLoader"]


def _transformers(
    base: str | Path,
    revision: str | None,
    *,
    device: str,
    dtype: str,
    batch_size: int | None,
    **options: Any,
) -> Backend:
    try:
        from ct_guard.backends.transformers import TransformersBackend
    except ModuleNotFoundError as error:
        raise MissingExtraError("the transformers backend", "torch") from error
    _check_options("transformers", TransformersBackend.load, options)
    return TransformersBackend.load(
        base, revision=revision, device=device, dtype=dtype, batch_size=batch_size, **options
    )


def _llama_cpp(
    base: str | Path,
    revision: str | None,
    *,
    device: str,
    dtype: str,
    batch_size: int | None,
    **options: Any,
) -> Backend:
    try:
        from ct_guard.backends.llama_cpp import LlamaCppBackend
    except ModuleNotFoundError as error:
        raise MissingExtraError("the llama_cpp backend", "gguf") from error
    _check_options("llama_cpp", LlamaCppBackend.load, options)
    if device != "auto":
        options.setdefault("n_gpu_layers", 0 if device == "cpu" else -1)
    return LlamaCppBackend.load(base, dtype=dtype, batch_size=batch_size, **options)


def _server(base: str | Path, revision: str | None, url: str, **options: Any) -> Backend:
    """See `ServerBackend.load`."""
    from ct_guard.backends.server import ServerBackend

    _check_options("server", ServerBackend.load, options)
    return ServerBackend.load(base, url=url, revision=revision, **options)


_COMMON = {"source", "revision", "device", "dtype", "batch_size", "url"}
"""What an `BaseLoader` hands to every backend by its own parameters."""

BACKENDS: dict[str, Callable[..., Backend]] = {
    "transformers": _transformers,
    "llama_cpp": _llama_cpp,
}
"""How each backend loads a base model."""


def _check_options(backend: str, load: Callable[..., Backend], options: dict[str, Any]) -> None:
    """Raise UsageError for an option that a backend does not have."""
    known = inspect.signature(load).parameters.keys() - _COMMON
    for name in options:
        if name not in known:
            raise UsageError(
                f"the backend {backend} has no option {name!r}: it has {', '.join(sorted(known))}"
            )


@dataclass(frozen=True)
class BaseLoader:
    """What is to run a base model, with its settings: as the arguments of `load_estimator`.

    Raises UsageError for a setting beside `server` that a server has itself.
    """

    backend: str | Backend = "transformers"
    server: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """The backend's own."""

    def __post_init__(self) -> None:
        own = (self.backend, self.device, self.dtype) != ("transformers", "auto", "auto")
        if self.server is not None and own:
            raise UsageError(
                "a server has its own backend, device and dtype: leave these out beside `server`"
            )

    @property
    def name(self) -> str:
        """Of the backend."""
        if self.server is not None:
            return "server"
        return self.backend if isinstance(self.backend, str) else self.backend.name

    def check_backend(self) -> None:
        """Raises UsageError for an unknown backend."""
        if isinstance(self.backend, str) and self.backend not in BACKENDS:
            raise UsageError(f"unknown backend {self.backend!r}: there are {', '.join(BACKENDS)}")

    def with_default(self, **options: Any) -> "BaseLoader":
        """The same, with options of the backend's where none are given."""
        return replace(self, options={**options, **self.options})

    def over(self, base: str | Path, revision: str | None = None) -> Backend:
        """The backend over a base model; one that is loaded already stays as it is.

        Raises UsageError for an unknown backend and options that it does not have,
        MissingExtraError where its library is not installed, and what the backend's `load` raises.
        """
        if not isinstance(self.backend, str):
            return self.backend
        if self.server is not None:
            return _server(base, revision, self.server, **self.options)
        self.check_backend()
        return BACKENDS[self.backend](
            base,
            revision,
            device=self.device,
            dtype=self.dtype,
            batch_size=self.batch_size,
            **self.options,
        )
