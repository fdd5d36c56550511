"""Does a model fit this machine? Weights and cache in bytes, against the memory that is free."""

import math
import struct
from pathlib import Path
from typing import Any

from ct_guard.backends.machine import computes_in_bfloat16, memory
from ct_guard.errors import BackendError, UsageError
from ct_guard.files.untrusted_json import parse_json, read_json
from ct_guard.query import TEMPLATE_DATE
from ct_guard.store import EMBEDDED, MANIFEST, ON_HUB, SMOL, base_place, load_manifest, locate

from .finding import Finding, gigabytes

__all__ = ["model_fits"]

_TOKENS = 4096
"""Tokens of cache to reckon with, unless the model reads fewer."""
_MOST_HEADER = 100_000_000
"""Bytes, as the safetensors library has it."""
_WORKING = 1.1
"""Activations and the interpreter, over weights and cache."""


def model_fits(name: str) -> list[Finding]:
    """One finding for each form in which the model is here: safetensors, GGUF.

    Raises UsageError when it is not on this machine.
    """
    place = _place(name)
    if place.is_file():
        return [_gguf(place)]
    files = sorted(place.glob("*.gguf"))
    found = [_gguf(path) for path in files]
    if any(place.glob("*.safetensors")):
        found.insert(0, _safetensors(place))
    if not found:
        raise UsageError(f"{place} holds neither safetensors nor GGUF: name a model's directory")
    return [*found, *_clock(place)]


def _place(name: str) -> Path:
    if name == SMOL or name.startswith(ON_HUB):
        return Path(base_place(name))
    path = Path(name)
    if path.is_file() or (path.is_dir() and not (path / MANIFEST).is_file()):
        return path
    if path.is_dir() or name.partition(":")[0] == EMBEDDED:
        folder = locate(name)
        return _place(str(base_place(load_manifest(folder).base.id, folder)))
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(name, "config.json")
    except (ImportError, ValueError):
        found = None
    if not isinstance(found, str):
        raise UsageError(
            f"no model {name!r} on this machine: name a directory, a GGUF file, an estimator, or a"
            " hub id that was downloaded"
        )
    return Path(found).parent


def _safetensors(folder: Path) -> Finding:
    """Memory of the transformers backend: as stored on a GPU, on a CPU in what it is fast in."""
    parameters, stored = 0, 0
    for path in sorted(folder.glob("*.safetensors")):
        for entry in _header(path).values():
            parameters += math.prod(entry["shape"])
            begin, end = entry["data_offsets"]
            stored += end - begin
    numbers, tokens = _cache_of(folder)
    gpu = _gpu_memory()
    in_16_bits = computes_in_bfloat16(parameters)
    each = stored // max(parameters, 1) if gpu else (2 if in_16_bits else 4)
    size = stored if gpu else each * parameters
    on_cpu = "bfloat16, on this CPU" if in_16_bits else "float32, on this CPU"
    form = "as stored, on the GPU" if gpu else on_cpu
    return _verdict(
        f"{folder} ({parameters / 1e6:,.1f} million parameters, {form})",
        size,
        numbers * each,
        tokens,
        gpu or memory().available,
        "export it with --type q8_0 and use --backend llama_cpp, or take a smaller model",
    )


def _clock(folder: Path) -> list[Finding]:
    """A finding where the chat template reads the clock: its texts would change from day to day."""
    files = [folder / name for name in ("chat_template.jinja", "tokenizer_config.json")]
    sources = [path.read_text("utf-8", "replace") for path in files if path.is_file()]
    if not any("strftime_now" in source for source in sources):
        return []
    return [
        Finding(
            "chat template",
            "reads the clock",
            f"it is told that it is {TEMPLATE_DATE}, on every day",
        )
    ]


def _gguf(path: Path) -> Finding:
    """Memory of the llama.cpp backend, whose cache is 16 bit."""
    try:
        from ct_guard.backends.gguf_file import validate_base

        info = validate_base(path)
    except ModuleNotFoundError:
        return Finding("model", str(path), "pip install 'ct-guard[gguf]'", ok=False)
    except BackendError as error:
        return Finding("model", str(path), str(error), ok=False)
    tokens = min(_TOKENS, info.context_length)
    cache = 2 * info.layers * info.kv_heads * info.head_size * tokens * 2
    return _verdict(
        f"{path} (GGUF)",
        info.weight_bytes,
        cache,
        tokens,
        memory().available,
        "export it with --type q8_0, or take a smaller model",
    )


def _verdict(
    what: str, weights: int, cache: int, tokens: int, available: int, otherwise: str
) -> Finding:
    needed = int(_WORKING * (weights + cache))
    fits = needed <= available
    return Finding(
        "model",
        f"{what} needs about {gigabytes(needed)}: weights {gigabytes(weights)}, cache of"
        f" {tokens:,} tokens {gigabytes(cache)}; {gigabytes(available)} are available",
        "fits" if fits else f"does not fit: {otherwise}",
        ok=fits,
    )


def _header(path: Path) -> dict[str, Any]:
    """Names, shapes and places of a safetensors file's tensors."""
    with path.open("rb") as file:
        try:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(path.stat().st_size, _MOST_HEADER):
                raise ValueError("its header is longer than the file, or than a header may be")
            entries = parse_json(file.read(length))
            tensors = {name: one for name, one in entries.items() if name != "__metadata__"}
            for one in tensors.values():
                begin, end = one["data_offsets"]
                if not 0 <= begin <= end or not all(size >= 0 for size in one["shape"]):
                    raise ValueError("a tensor lies nowhere")
        except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{path} is damaged ({error}): fetch it again") from error
    return tensors


def _cache_of(folder: Path) -> tuple[int, int]:
    """Numbers in a cache, keys and values, and how many tokens it holds."""
    path = folder / "config.json"
    try:
        config = read_json(path, finite=False)
        config = config.get("text_config", config)
        heads = int(config.get("num_attention_heads", 1))
        kv_heads = int(config.get("num_key_value_heads") or heads)
        size = int(config.get("head_dim") or config.get("hidden_size", heads) // heads)
        tokens = min(_TOKENS, int(config.get("max_position_embeddings", _TOKENS)))
        numbers = 2 * int(config.get("num_hidden_layers", 1)) * kv_heads * size * tokens
        if not 0 <= numbers < 1 << 60:
            raise ValueError(f"a cache of {numbers:.3g} numbers")
    except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise UsageError(f"{path} holds no sizes of a model ({error}): fetch it again") from error
    return numbers, tokens


def _gpu_memory() -> int:
    """Free bytes of the GPU that would be used; 0 without one."""
    try:
        import torch
    except (ImportError, OSError):
        return 0
    return int(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else 0
