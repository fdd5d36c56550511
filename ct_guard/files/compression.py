"""Files that gzip or Zstandard packed (`answers.jsonl.gz`): read within bounds, and written.

A kilobyte can stand for gigabytes, so what is unpacked is bounded by what was packed: rows are read
one at a time, and a line has its own bound (`paths.ROW_LIMIT`).
"""

import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from ct_guard.errors import InputError, MissingExtraError

__all__ = ["SUFFIXES", "magic_of", "packing", "unpacked_name", "unpacking"]

SUFFIXES = {".gz": "gzip", ".zst": "Zstandard"}
"""What packed files are called by."""
_MAGIC = {
    ".gz": (b"\x1f\x8b",),
    ".zst": (b"\x28\xb5\x2f\xfd", *(bytes([kind]) + b"\x2a\x4d\x18" for kind in range(0x50, 0x60))),
}
"""What they begin with: of Zstandard a frame, or one that readers skip (RFC 8878, 3.1.2)."""

FREE = 1 << 28
"""Bytes that any file may unpack to."""
RATIO = 200
"""Beyond them, bytes that a packed byte may stand for, on average over all that was read. Rows of
JSON or CSV take 3 to 50."""
_PIECE = 1 << 10
"""Packed bytes that are unpacked at once: of Zstandard they stand for 32 MiB at most."""
_WINDOW = 1 << 27
"""Bytes of earlier text that Zstandard may refer to: as much as its own tool takes unasked."""


class _Unpacker(Protocol):
    """Of one gzip member or Zstandard frame, of which a file may have several."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def unpacked_name(path: str | os.PathLike[str]) -> Path:
    """The name that the content has: `a.csv` of `a.csv.gz`; of other files their own."""
    named = Path(path)
    return named.with_suffix("") if named.suffix.lower() in SUFFIXES else named


def magic_of(data: bytes) -> str | None:
    """The suffix of what begins as packed files do; None for other bytes."""
    return next((suffix for suffix, magics in _MAGIC.items() if data.startswith(magics)), None)


def unpacking(stream: BinaryIO, path: str | os.PathLike[str]) -> BinaryIO:
    """What `stream`, the file at `path`, holds: unpacked where its name says that it is packed.

    Raises MissingExtraError for Zstandard without its library. Reading raises InputError for what
    is damaged, cut short, not packed at all, or unpacks to more than any file of rows would.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        return stream
    if suffix == ".gz":
        start: Callable[[], Any] = lambda: zlib.decompressobj(wbits=31)  # noqa: E731
        return _buffered(_Unpacked(stream, os.fspath(path), suffix, start, zlib.error))
    zstandard = _zstandard("reading .zst files")
    unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    return _buffered(
        _Unpacked(stream, os.fspath(path), suffix, unpacker.decompressobj, zstandard.ZstdError)
    )


@contextmanager
def packing(stream: BinaryIO, path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A stream to write to in the block: what comes to `stream`, the file that will be called
    `path`, is packed as that name says. The same content always gives the same bytes.

    Raises MissingExtraError for Zstandard without its library.
    """
    match Path(path).suffix.lower():
        case ".gz":
            with gzip.GzipFile("", "wb", 6, stream, mtime=0) as packed:
                yield cast(BinaryIO, packed)
        case ".zst":
            compressor = _zstandard("writing .zst files").ZstdCompressor()
            with compressor.stream_writer(stream, closefd=False) as packed:
                yield cast(BinaryIO, packed)
        case _:
            yield stream


def _zstandard(what: str) -> Any:
    try:
        import zstandard
    except ImportError:
        raise MissingExtraError(what, "zstd") from None
    return zstandard


def _buffered(raw: io.RawIOBase) -> BinaryIO:
    return io.BufferedReader(raw, 1 << 16)


class _Unpacked(io.RawIOBase):
    """The content of a packed file, as it is asked for."""

    def __init__(
        self,
        packed: BinaryIO,
        source: str,
        suffix: str,
        start: Callable[[], _Unpacker],
        fault: type[Exception],
    ) -> None:
        self._packed = packed
        self._source = source
        self._suffix = suffix
        self._start = start
        self._fault = fault
        self._unpacker: _Unpacker | None = None
        self._rest = b""
        """Packed bytes that were read and not yet looked at."""
        self._ready = memoryview(b"")
        self._taken = self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if not self._step():
                return 0
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _step(self) -> bool:
        """Unpacks a piece; False at the end."""
        piece = self._rest or self._packed.read(_PIECE)
        self._rest = b""
        if self._unpacker is None:
            if self._taken and not piece.strip(b"\0"):  # tapes and some tools fill up with zeros
                return bool(piece)
            if not self._taken and not piece.startswith(_MAGIC[self._suffix]):
                raise InputError(
                    f"{self._source}: is no {self._name} file, as its name says: rename it, or copy"
                    " it again"
                )
            self._unpacker = self._start()
        elif not piece:
            raise InputError(
                f"{self._source}: is cut short: its {self._name} data end within; copy or download"
                " it again"
            )
        try:
            ready = self._unpacker.decompress(piece)
        except self._fault as error:
            raise InputError(
                f"{self._source}: its {self._name} data are damaged ({error}); copy or download it"
                " again"
            ) from None
        if self._unpacker.eof:
            self._rest, self._unpacker = self._unpacker.unused_data, None
        self._taken += len(piece) - len(self._rest)
        self._given += len(ready)
        if self._given > FREE and self._given > RATIO * self._taken:
            raise InputError(
                f"{self._source}: unpacks to more than {RATIO} times its size, which rows do not;"
                " unpack it yourself if it is meant"
            )
        self._ready = memoryview(ready)
        return True

    @property
    def _name(self) -> str:
        return SUFFIXES[self._suffix]
