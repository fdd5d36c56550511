"""Tensors of a safetensors checkpoint, in one file or in shards, read one at a time."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ct_guard.errors import ExportError
from ct_guard.files.untrusted_json import JsonError, read_json

__all__ = ["Weights"]

_FLOATS = ("F64", "F32", "F16", "BF16")


class Weights:
    """Names, shapes and, on demand, values. Shapes are Hugging Face's: rows come first."""

    def __init__(self, files: list[Path]) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._open: dict[str, Any] = {}
        for path in files:
            try:
                file = cast(Any, safe_open)(path, framework="pt")
            except (SafetensorError, OSError) as error:
                raise ExportError(f"cannot read {path}: {error}; fetch it again") from error
            for name in file.keys():  # noqa: SIM118 (no dictionary)
                part = file.get_slice(name)
                if part.get_dtype() not in _FLOATS:
                    raise ExportError(
                        f"{path}: the tensor {name!r} is of type {part.get_dtype()}: a checkpoint"
                        " that is quantised already cannot be exported; take the original"
                    )
                self.shapes[name] = tuple(part.get_shape())
                self._open[name] = file

    @classmethod
    def of(cls, folder: Path) -> "Weights":
        """Of a model's directory: `model.safetensors`, or the shards that its index names."""
        index = folder / "model.safetensors.index.json"
        if index.is_file():
            return cls([folder / name for name in _shards(index)])
        whole = folder / "model.safetensors"
        if not whole.is_file():
            raise ExportError(f"no model.safetensors in {folder}: only safetensors are exported")
        return cls([whole])

    def read(self, name: str) -> NDArray[np.float32]:
        """One tensor in float32. Raises ExportError when it is not finite."""
        values: NDArray[np.float32] = self._open[name].get_tensor(name).to(torch.float32).numpy()
        if not np.isfinite(values).all():
            raise ExportError(f"the tensor {name!r} holds values that are not finite numbers")
        return values


def _shards(index: Path) -> list[str]:
    """The files that an index names, which lie beside it."""
    try:
        named = read_json(index).get("weight_map")
    except JsonError as error:
        raise ExportError(f"cannot read {index}: {error}; fetch it again") from error
    files = list(named.values()) if isinstance(named, dict) else []
    plain = all(isinstance(name, str) and name.isprintable() for name in files)
    if not files or not plain or any(Path(name).name != name for name in files):
        raise ExportError(f"{index} names no files beside it as its weight_map: fetch it again")
    return sorted(set(files))
