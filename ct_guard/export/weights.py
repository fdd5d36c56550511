"""Tensors of a safetensors checkpoint, in one file or in shards, read one at a time."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ct_guard.backends.checkpoint import weight_files
from ct_guard.errors import ExportError

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
                if name in self.shapes:
                    raise ExportError(
                        f"{path}: the tensor {name!r} stands in another file, too: take the file"
                        " out that does not belong to it"
                    )
                self.shapes[name] = tuple(part.get_shape())
                self._open[name] = file

    @classmethod
    def of(cls, folder: Path) -> "Weights":
        """Of a model's directory, from the files that the transformers library would take."""
        try:
            files = weight_files(folder)
        except ValueError as error:
            raise ExportError(f"cannot read the weights of {folder}: {error}") from error
        if not files:
            raise ExportError(f"no model.safetensors in {folder}: only safetensors are exported")
        return cls(files)

    def read(self, name: str) -> NDArray[np.float32]:
        """One tensor in float32. Raises ExportError when it is not finite."""
        values: NDArray[np.float32] = self._open[name].get_tensor(name).to(torch.float32).numpy()
        if not np.isfinite(values).all():
            raise ExportError(f"the tensor {name!r} holds values that are not finite numbers")
        return values
