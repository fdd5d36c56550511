"""Tensors of checkpoints, without executing what is in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import MismatchError, MissingExtraError

__all__ = ["Tensors", "dump_tensors", "read_tensors", "to_float32"]

Tensors = dict[str, Any]
"""Torch tensors by name."""


def read_tensors(path: Path) -> Tensors:
    """The tensors in a file: `.safetensors`, or what `torch.save` wrote (`.bin`, `.pt`).

    Of the latter nothing but tensors is ever unpickled. Raises MismatchError for a damaged file and
    for one that holds more than tensors by name.
    """
    try:
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise MissingExtraError("a checkpoint of the reference", "torch") from error
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise MismatchError(f"{path} is damaged ({error}): fetch it again") from error
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's pickle fails in any way that it likes
        raise MismatchError(
            f"{path} is damaged or holds more than tensors, and nothing else is loaded from a"
            " pickle: convert it to safetensors where you trust it"
        ) from error
    if not isinstance(data, Mapping) or not all(map(torch.is_tensor, data.values())):
        raise MismatchError(f"{path} must hold tensors by name and nothing else")
    tensors = {str(name): value.detach() for name, value in data.items()}
    for name, value in tensors.items():
        _check_plain(path, name, value)
    return tensors


def _check_plain(path: Path, name: str, value: Any) -> None:
    """A view may have more elements than its file has bytes: it is never copied out."""
    import torch

    plain = value.layout == torch.strided and value.device.type == "cpu"
    plain = plain and not (value.is_complex() or value.is_quantized)
    if not plain or value.numel() * value.element_size() > path.stat().st_size:
        raise MismatchError(f"{path}: the tensor {name[:60]!r} is not stored whole: fetch it again")


def dump_tensors(tensors: Tensors) -> bytes:
    """As the content of a safetensors file."""
    from safetensors.torch import save

    # A copy each: `torch.save` keeps tensors that share memory, safetensors refuses them.
    return bytes(save({name: value.clone().contiguous() for name, value in tensors.items()}))


def to_float32(tensors: Tensors) -> dict[str, NDArray[np.generic]]:
    """As numpy arrays."""
    return {name: value.float().numpy() for name, value in tensors.items()}
