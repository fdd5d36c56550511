"""From what a user names to the language model that answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.errors import UsageError

if TYPE_CHECKING:
    from ct_guard.datasets.answerers import Answerer, Style

__all__ = ["Engine", "load_answerer"]


@dataclass(frozen=True)
class Engine:
    """How models are run: local ones by a backend, remote ones over the network."""

    backend: str
    device: str
    dtype: str
    style: "Style"
    batch_size: int
    quantization: str | None
    """`8bit`, `4bit`, or None; of local models on transformers."""
    timeout: float
    retries: int
    concurrency: int


def load_answerer(model: str, url: str | None, key_env: str | None, engine: Engine) -> "Answerer":
    """The model of that name: at `url` where one is given, else `mini` (the embedded base), a
    directory or file, a LangChain `provider:model`, or a hub id.

    Raises UsageError for options that do not fit each other, and what loading raises.
    """
    if url is not None:
        from ct_guard.datasets.answerers import OpenAIAnswerer

        return OpenAIAnswerer(
            url,
            model,
            key_env=key_env,
            timeout=engine.timeout,
            retries=engine.retries,
            concurrency=engine.concurrency,
        )
    from ct_guard.store import ON_HUB

    if key_env is not None:
        raise UsageError(
            "a key goes with a URL; a LangChain provider reads its own environment variable"
        )
    if model.startswith("mini:"):
        raise UsageError(f"{model!r} names an estimator; the embedded model is `model` mini")
    if ":" in model and not model.startswith(ON_HUB) and not Path(model).exists():
        from ct_guard.datasets.answerers import LangChainAnswerer

        return LangChainAnswerer.load(
            model,
            timeout=engine.timeout,
            retries=engine.retries,
            concurrency=engine.concurrency,
        )
    return _local(model, engine)


def _local(model: str, engine: Engine) -> "Answerer":
    from ct_guard.datasets.answerers import LocalAnswerer
    from ct_guard.estimators.bases import BACKENDS
    from ct_guard.store import EMBEDDED, base_place

    if engine.backend not in BACKENDS:
        raise UsageError(f"unknown backend {engine.backend!r}: there are {', '.join(BACKENDS)}")
    is_path = model != EMBEDDED and Path(model).exists()
    name = Path(model).resolve().name if is_path else model
    bits = engine.quantization
    backend = BACKENDS[engine.backend](
        base_place(model),
        None,
        device=engine.device,
        dtype=engine.dtype,
        batch_size=None,
        **({} if bits is None else {"quantization": bits}),
    )
    return LocalAnswerer(
        backend, name, style=engine.style, batch_size=engine.batch_size, quantization=bits
    )
