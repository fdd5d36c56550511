"""Where a model lives, in which numbers, and when it does not fit."""

from typing import Literal

import torch

from ct_guard.errors import UsageError

from .machine import memory

__all__ = ["free_bytes", "number_format", "out_of_memory", "pick_device", "pick_dtype"]


def pick_device(name: str) -> str:
    """`auto` takes CUDA, then MPS, then the CPU. Raises UsageError for what is not there."""
    if name != "auto":
        try:
            kind = torch.device(name).type
        except RuntimeError as error:
            raise UsageError(
                f"unknown device {name!r}: use auto, cpu, cuda, cuda:1 or mps"
            ) from error
        if kind == "cuda" and not torch.cuda.is_available():
            raise UsageError(f"{name}: no CUDA device here: use `device` cpu")
        return name
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def pick_dtype(name: str, device: str) -> torch.dtype | Literal["auto"] | None:
    """`auto` is the checkpoint's own numbers on a GPU; on a CPU it depends on the model: None.
    Raises UsageError."""
    if name == "auto":
        return None if device == "cpu" else "auto"
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise UsageError(f"unknown dtype {name!r}: use float32, bfloat16 or float16")
    return dtype


def free_bytes(device: str) -> int:
    """Of a GPU's memory, else of the machine's."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return memory().available


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a smaller batch could help."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    text = str(error)
    return "can't allocate memory" in text or "out of memory" in text


def number_format(model: torch.nn.Module) -> str:
    """What the base model's weights are kept in: `float32`, or in 8 bits `float16, int8`."""
    kinds = {str(weight.dtype) for name, weight in model.named_parameters() if "lora_" not in name}
    return ", ".join(sorted(kind.removeprefix("torch.") for kind in kinds))
