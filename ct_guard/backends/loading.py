"""Load a Hugging Face model and its tokenizer; where that fails, say in one line what to do."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from ct_guard.errors import BackendError, MissingExtraError

from .placement import pick_device, pick_dtype
from .tokenizer_file import load_tokenizer

__all__ = ["Device", "Quantization", "load_model", "loading_problem", "quiet"]

Device = Literal["auto", "cpu", "cuda", "mps"] | str
Quantization = Literal["8bit", "4bit"]

_ADVICE = {
    "GatedRepoError": "it is gated: accept its licence on its page on the hub, then log in with"
    " 'hf auth login' or set HF_TOKEN",
    "RevisionNotFoundError": "it has no such revision: check the estimator's source",
    "RepositoryNotFoundError": "it is not on the hub, or is private: check the id, or log in with"
    " 'hf auth login'",
    "LocalEntryNotFoundError": "it is not in the local cache and the hub cannot be reached: fetch"
    " it once with a network ('hf download'), or give its directory",
    "OfflineModeIsEnabled": "it is not in the local cache and HF_HUB_OFFLINE is set: fetch it once"
    " with a network ('hf download'), or give its directory",
}
"""By the names of the hub client's errors: the client may not be installed. Most special first."""


def load_model(
    source: str | Path,
    *,
    revision: str | None,
    device: Device,
    dtype: str,
    quantization: Quantization | None,
) -> tuple[Any, Any]:
    """Model and tokenizer, from a directory or the hub: safetensors only, no remote code.

    Raises:
        BackendError: they cannot be loaded.
        MissingExtraError: quantization without bitsandbytes.
    """
    if not Path(source).is_dir() and _is_path(source):
        raise BackendError(f"no base model at {str(source)!r}: there is no such directory")
    where = pick_device(device)
    number = pick_dtype(dtype, where)
    options: dict[str, Any] = {"revision": revision} if revision else {}
    if quantization is not None:
        options |= {"quantization_config": _quantized(quantization), "device_map": {"": where}}
    try:
        with quiet():
            tokenizer = load_tokenizer(source, revision)
            model = AutoModelForCausalLM.from_pretrained(
                source, dtype=number, use_safetensors=True, trust_remote_code=False, **options
            )
        if quantization is None:
            model = model.to(where)  # type: ignore[arg-type]
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise BackendError(
            f"cannot load the base model {str(source)!r}: {loading_problem(error)}"
        ) from error
    return model, tokenizer


def _quantized(quantization: Quantization) -> Any:
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError("a base model in 8 or 4 bits", "quant")
    from transformers import BitsAndBytesConfig

    eight = quantization == "8bit"
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_8bit=eight,
        load_in_4bit=not eight,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _is_path(source: str | Path) -> bool:
    """Whether this can only be meant as a directory: hub ids have one slash inside at most."""
    return isinstance(source, Path) or source.startswith((".", "/", "~")) or source.count("/") > 1


def loading_problem(error: BaseException) -> str:
    """The advice for what went wrong on the hub, else the error's own first line."""
    names: set[str] = set()
    link: BaseException | None = error
    while link is not None:
        names.update(kind.__name__ for kind in type(link).__mro__)
        link = link.__cause__ or link.__context__
    for name, advice in _ADVICE.items():
        if name in names:
            return advice
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)


@contextmanager
def quiet() -> Iterator[None]:
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
