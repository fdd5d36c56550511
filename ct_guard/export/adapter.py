"""A PEFT LoRA to one GGUF file.

The file holds one alpha for all matrices, and llama.cpp scales each pair by alpha / rank. Whatever
PEFT scales otherwise (rsLoRA, alpha patterns) is multiplied into B.
"""

import math
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from ct_guard.backends.gguf_info import BASE_FINGERPRINT, INVOCATION_TOKENS
from ct_guard.errors import ExportError
from ct_guard.files.untrusted_json import JsonError, read_json

from .architecture import Architecture
from .weights import Weights
from .writing import Planned, write

__all__ = ["export_adapter"]

_PLAIN: dict[str, tuple[object, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
}
"""Settings that must have one of these values."""
_UNKNOWN_TO_GGUF = (
    "use_dora", "use_qalora", "use_bdlora", "modules_to_save", "lora_bias", "fan_in_fan_out",
    "layer_replication", "trainable_token_indices", "target_parameters", "arrow_config",
    "kasa_config", "monteclora_config", "velora_config", "megatron_config", "layers_pattern",
)  # fmt: skip
"""Settings of other adapters than plain LoRA, or that change more than its matrices."""
_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])\.weight")


def export_adapter(
    source: Path,
    target: Path,
    *,
    architecture: Architecture,
    base: Weights,
    base_fingerprint: str,
    invocation: Sequence[int] = (),
) -> None:
    """Convert a PEFT adapter's directory to the file `target`, in float32. `base` are the weights
    that it was trained on.

    `invocation` are the query's ids, for an adapter that acts on the query alone. llama.cpp's
    library never activates an adapter by itself, its server does, and one token early: the file
    therefore names the ids from the second on, with which the server activates it on exactly the
    query. Raises ExportError that names what GGUF cannot express.
    """
    config = _read_config(source)
    weights = Weights([source / "adapter_model.safetensors"])
    planned = _plan(config, weights, architecture, base)
    writer = gguf.GGUFWriter(target, architecture.name)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(config["lora_alpha"]))
    writer.add_string(BASE_FINGERPRINT, base_fingerprint)
    if len(invocation) > 1:
        writer.add_key_value(
            INVOCATION_TOKENS,
            list(invocation[1:]),
            gguf.GGUFValueType.ARRAY,
            gguf.GGUFValueType.UINT32,
        )
    write(writer, planned)


def _read_config(source: Path) -> dict[str, Any]:
    path = source / "adapter_config.json"
    try:
        config = read_json(path)
    except JsonError as error:
        raise ExportError(f"cannot read {path}: {error}") from error
    for key, allowed in _PLAIN.items():
        if config.get(key, allowed[0]) not in allowed:
            raise ExportError(f"{path}: {key} {config[key]!r} cannot be expressed in GGUF")
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, (int, float)) or alpha <= 0:  # to llama.cpp, 0 is 1
        raise ExportError(f"{path}: lora_alpha {alpha!r} cannot be expressed in GGUF")
    for key in _UNKNOWN_TO_GGUF:
        if config.get(key):
            raise ExportError(f"{path}: {key} {config[key]!r} cannot be expressed in GGUF")
    return config


def _plan(
    config: dict[str, Any], weights: Weights, architecture: Architecture, base: Weights
) -> list[Planned]:
    ranks: dict[str, int] = {}
    tensors = []
    for name, shape in weights.shapes.items():
        if _is_the_bases(name, weights, base):
            continue
        found = _TENSOR.fullmatch(name)
        module = found["module"] if found else ""
        target = architecture.gguf_name(f"{module}.weight") if found else None
        if not found or target is None or f"{module}.weight" not in base.shapes:
            raise ExportError(f"the adapter's tensor {name!r} cannot be expressed in GGUF")
        rows, columns = base.shapes[f"{module}.weight"]
        part = found["part"]
        rank = shape[0] if part == "A" else shape[1]
        if (
            target == "token_embd.weight"
            or shape != ((rank, columns) if part == "A" else (rows, rank))
            or ranks.setdefault(module, rank) != rank
        ):
            raise ExportError(
                f"the adapter's tensor {name!r} has the shape {shape}, which does not fit the"
                f" base's {module} of {rows} x {columns}"
            )
        read = partial(weights.read, name)
        if part == "B":
            read = partial(_read_b, weights, name, architecture, module,
                           _factor(config, module, rank))  # fmt: skip
        tensors.append(Planned.of(f"{target}.lora_{part.lower()}", shape, "f32", read))
    if len(tensors) != 2 * len(ranks) or not tensors:
        raise ExportError("the adapter lacks one of the matrices A and B of some module")
    return tensors


def _is_the_bases(name: str, weights: Weights, base: Weights) -> bool:
    """Whether PEFT saved a matrix of the base along, unchanged, as it does for embeddings."""
    found = re.fullmatch(r"base_model\.model\.(.+)\.base_layer\.weight", name)
    original = f"{found[1]}.weight" if found else ""
    if original == "lm_head.weight" and original not in base.shapes:
        original = "model.embed_tokens.weight"  # tied
    return original in base.shapes and np.array_equal(weights.read(name), base.read(original))


def _read_b(
    weights: Weights, name: str, architecture: Architecture, module: str, factor: float
) -> NDArray[np.float32]:
    return architecture.stored(module, weights.read(name)) * np.float32(factor)


def _factor(config: dict[str, Any], module: str, rank: int) -> float:
    """What B is multiplied with, so that llama.cpp's scale becomes PEFT's."""
    from peft.utils.other import get_pattern_key

    patterns = config.get("alpha_pattern") or {}
    common = float(config["lora_alpha"])
    alpha = float(patterns.get(get_pattern_key(list(patterns), module), common))
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    return scale / (common / rank)
