"""Writing a GGUF file: keys, then tensors one after the other, under a name that nobody looks for
until the file is whole."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gguf
import numpy as np
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

from ct_guard.errors import ExportError, OutputExistsError
from ct_guard.files.replacing import replacing

__all__ = ["OnProgress", "Planned", "WeightType", "fresh", "write"]

WeightType = Literal["f32", "f16", "q8_0"]
"""How matrices are stored. Vectors (norms, biases) are always float32."""

OnProgress = Callable[[int, int], None]
"""Called with the bytes written so far and in all."""

_TYPES: dict[WeightType, GGMLQuantizationType] = {
    "f32": GGMLQuantizationType.F32,
    "f16": GGMLQuantizationType.F16,
    "q8_0": GGMLQuantizationType.Q8_0,
}


@dataclass(frozen=True)
class Planned:
    """A tensor to be written. `shape` in Hugging Face's order; `read` gives it in float32."""

    name: str
    shape: tuple[int, ...]
    type: GGMLQuantizationType
    read: Callable[[], NDArray[np.float32]]

    @classmethod
    def of(
        cls,
        name: str,
        shape: tuple[int, ...],
        kind: WeightType,
        read: Callable[[], NDArray[np.float32]],
    ) -> "Planned":
        """Of type `kind` when it is a matrix; rows that no blocks of Q8_0 fill stay F16."""
        stored = _TYPES[kind] if len(shape) > 1 else GGMLQuantizationType.F32
        if stored == GGMLQuantizationType.Q8_0 and shape[-1] % 32:
            stored = GGMLQuantizationType.F16
        return cls(name, shape, stored, read)

    @property
    def size(self) -> int:
        """In bytes."""
        block, block_size = gguf.GGML_QUANT_SIZES[self.type]
        return int(np.prod(self.shape)) // block * block_size

    def values(self) -> NDArray[np.generic]:
        """As stored. Raises ExportError when the type cannot hold them."""
        values = self.read()
        if self.type == GGMLQuantizationType.F32:
            return np.ascontiguousarray(values)
        with np.errstate(over="ignore"):
            stored = gguf.quants.quantize(values, self.type)
        if self.type == GGMLQuantizationType.F16 and not np.isfinite(stored).all():
            raise ExportError(f"{self.name} holds numbers too large for 16 bits: use `kind` f32")
        return stored


def write(
    writer: gguf.GGUFWriter,
    tensors: Sequence[Planned] = (),
    on_progress: OnProgress | None = None,
) -> None:
    """Write the writer's keys and the tensors to its path; one tensor at a time is in memory."""
    for planned in tensors:
        writer.add_tensor_info(
            planned.name, planned.shape, np.dtype(np.float32), planned.size, planned.type
        )
    total, done = sum(planned.size for planned in tensors), 0
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for planned in tensors:
            writer.write_tensor_data(planned.values())
            done += planned.size
            if on_progress is not None:
                on_progress(done, total)
    finally:
        writer.close()


@contextmanager
def fresh(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A temporary path beside `target` that takes its name when the block ends well and is removed
    when it does not. Raises OutputExistsError."""
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{target} exists already: overwrite it with `overwrite`")
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as path:
        yield path
