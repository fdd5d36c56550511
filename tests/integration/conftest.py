"""Commands load the same few models again and again; every load begins with a start-up check."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ct_guard.backends import Adapter, PlainRow
from ct_guard.files.cache import file_digest

Read = Callable[[Any, PlainRow, Sequence[int]], NDArray[np.float32]]
KNOWN: dict[tuple[object, ...], NDArray[np.float32]] = {}


@pytest.fixture(scope="module", autouse=True)
def _plain_readings_are_kept() -> Iterator[None]:
    """What a model of these very files says of a row that is read plainly is computed once a
    session. The check computes anew what it compares that with: the scores of whatever is loaded.
    (`tests/unit` and `tests/contract`, where models are spoilt, keep nothing.)"""
    from ct_guard.backends.llama_cpp import LlamaCppBackend
    from ct_guard.backends.transformers import TransformersBackend

    with pytest.MonkeyPatch.context() as patch:
        kinds: tuple[Any, ...] = (TransformersBackend, LlamaCppBackend)
        for kind in kinds:
            patch.setattr(kind, "read_plainly", _keeping(kind.read_plainly))
        yield


def _keeping(read: Read) -> Read:
    def kept(self: Any, row: PlainRow, tokens: Sequence[int]) -> NDArray[np.float32]:
        if not self.digest:
            return read(self, row, tokens)
        how = self.cache.options if self.name == "llama_cpp" else self.device
        model = (self.name, self.digest, self.fingerprint, self.format, how)
        adapter = None if row.adapter is None else _content(row.adapter)
        asked = (*model, row.ids, adapter, row.acts, row.beside, row.jump, tuple(tokens))
        if asked not in KNOWN:
            KNOWN[asked] = read(self, row, tokens)
        return KNOWN[asked]

    return kept


def _content(adapter: Adapter) -> tuple[object, ...]:
    found = [adapter.path, *adapter.path.rglob("*")]
    files = sorted(path for path in found if path.is_file())
    return (adapter.activation, *(_digest(path, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=256)
def _digest(path: Path, written: int) -> str:
    return file_digest(path)
