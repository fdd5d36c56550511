"""The header of a GGUF file: every key and every tensor's place, read with bounds checked.

`gguf.GGUFReader` trusts the counts it reads, so that one flipped bit can keep it busy for years;
here nothing is read or allocated past what the file holds.
"""

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType

__all__ = ["Field", "GGUFHeader", "InvalidGGUF", "TensorInfo", "read_header"]

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_ITEMS = 1 << 24
"""Of one array of strings; the largest vocabularies have a few hundred thousand."""
_MAX_NAME = 63
_MAX_DIMENSIONS = 4
_ALIGNMENT = 32

_SCALARS: dict[GGUFValueType, np.dtype[Any]] = {
    GGUFValueType.UINT8: np.dtype("<u1"),
    GGUFValueType.INT8: np.dtype("<i1"),
    GGUFValueType.UINT16: np.dtype("<u2"),
    GGUFValueType.INT16: np.dtype("<i2"),
    GGUFValueType.UINT32: np.dtype("<u4"),
    GGUFValueType.INT32: np.dtype("<i4"),
    GGUFValueType.FLOAT32: np.dtype("<f4"),
    GGUFValueType.BOOL: np.dtype("?"),
    GGUFValueType.UINT64: np.dtype("<u8"),
    GGUFValueType.INT64: np.dtype("<i8"),
    GGUFValueType.FLOAT64: np.dtype("<f8"),
}


class InvalidGGUF(ValueError):
    """What is wrong with a file; the caller knows which file, and what to do."""


class Field(NamedTuple):
    """One key's value. Arrays have the type ARRAY and the type of their items: strings as a list,
    numbers as a numpy array."""

    type: GGUFValueType
    items: GGUFValueType | None
    value: Any


class TensorInfo(NamedTuple):
    """Where a tensor lies. `shape` in GGML's order: the row's length comes first."""

    shape: tuple[int, ...]
    type: GGMLQuantizationType
    offset: int
    """From the start of the file, in bytes."""
    size: int
    """In bytes."""


@dataclass(frozen=True)
class GGUFHeader:
    """All that a GGUF file says before its weights."""

    fields: Mapping[str, Field]
    tensors: Mapping[str, TensorInfo]


def read_header(path: Path) -> GGUFHeader:
    """Read and check keys, tensor types and tensor places. Raises InvalidGGUF, OSError."""
    size = path.stat().st_size
    if size < 24:
        raise InvalidGGUF(f"it has {size} bytes, fewer than a header")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        cursor = _Cursor(data)
        if cursor.take(4) != _MAGIC:
            raise InvalidGGUF("it does not begin with the magic 'GGUF'")
        version = cursor.number("<I")
        if version not in _VERSIONS:
            raise InvalidGGUF(f"its version is {version}, and {_VERSIONS} can be read")
        tensor_count, field_count = cursor.number("<Q"), cursor.number("<Q")
        fields: dict[str, Field] = {}
        for _ in range(field_count):
            key = cursor.string("a key")
            if not key or key in fields:
                raise InvalidGGUF(f"the key {key!r} stands there twice" if key else "an empty key")
            fields[key] = cursor.field(key)
        alignment = _alignment(fields)
        places: dict[str, TensorInfo] = {}
        for _ in range(tensor_count):
            name = cursor.string("a tensor's name")
            if not name or len(name.encode()) > _MAX_NAME or name in places:
                raise InvalidGGUF(f"the tensor name {name[:80]!r} is empty, too long or repeated")
            places[name] = cursor.tensor(name)
        start = -(-cursor.at // alignment) * alignment
        tensors = {}
        for name, info in places.items():
            begin = start + info.offset
            if info.offset % alignment or begin + info.size > size:
                raise InvalidGGUF(
                    f"the tensor {name!r} lies at bytes {begin:,} to {begin + info.size:,} of a"
                    f" file of {size:,}: it is cut off or damaged"
                )
            tensors[name] = info._replace(offset=begin)
    return GGUFHeader(fields, tensors)


def _alignment(fields: Mapping[str, Field]) -> int:
    field = fields.get("general.alignment")
    if field is None:
        return _ALIGNMENT
    if field.type != GGUFValueType.UINT32 or field.value.bit_count() != 1:
        raise InvalidGGUF(f"general.alignment is {field.value!r} and must be a power of two")
    return int(field.value)


class _Cursor:
    """Reads forward through the bytes; running past the end is an error, never a short read."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if count > len(self._data) - self.at:
            raise InvalidGGUF(f"it ends inside its header, at byte {self.at:,}")
        self.at += count
        return self._data[self.at - count : self.at]

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def string(self, what: str) -> str:
        raw = self.take(self.number("<Q"))
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise InvalidGGUF(f"{what} is not UTF-8 text, near byte {self.at:,}") from error

    def field(self, key: str) -> Field:
        kind = self._type(key)
        if kind != GGUFValueType.ARRAY:
            return Field(kind, None, self._value(key, kind))
        items = self._type(key)
        count = self.number("<Q")
        if items == GGUFValueType.STRING:
            if count > _MAX_ITEMS:
                raise InvalidGGUF(f"the array {key!r} claims {count:,} strings")
            return Field(kind, items, [self.string(key) for _ in range(count)])
        if items not in _SCALARS:
            raise InvalidGGUF(f"the array {key!r} holds arrays, which nothing reads")
        raw = self.take(count * _SCALARS[items].itemsize)
        return Field(kind, items, np.frombuffer(raw, dtype=_SCALARS[items]))

    def _type(self, key: str) -> GGUFValueType:
        number = self.number("<I")
        try:
            return GGUFValueType(number)
        except ValueError as error:
            raise InvalidGGUF(f"the key {key!r} has the unknown type {number}") from error

    def _value(self, key: str, kind: GGUFValueType) -> Any:
        if kind == GGUFValueType.STRING:
            return self.string(key)
        return np.frombuffer(self.take(_SCALARS[kind].itemsize), dtype=_SCALARS[kind])[0].item()

    def tensor(self, name: str) -> TensorInfo:
        """Its offset is still relative to the start of the weights."""
        dimensions = self.number("<I")
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise InvalidGGUF(f"the tensor {name!r} has {dimensions} dimensions")
        shape = tuple(self.number("<Q") for _ in range(dimensions))
        number, offset = self.number("<I"), self.number("<Q")
        try:
            kind = GGMLQuantizationType(number)
        except ValueError as error:
            raise InvalidGGUF(
                f"the tensor {name!r} has the type {number}, which this version of gguf does not"
                " know"
            ) from error
        block, block_size = GGML_QUANT_SIZES[kind]
        if 0 in shape or shape[0] % block:
            raise InvalidGGUF(
                f"the tensor {name!r} of shape {shape} cannot be of type {kind.name}, which has"
                f" {block} weights a block"
            )
        elements = 1
        for length in shape:
            elements *= length
        return TensorInfo(shape, kind, offset, elements // block * block_size)
