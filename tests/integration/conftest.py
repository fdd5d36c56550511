"""Commands load the same few models again and again; every load begins with a start-up check."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ct_guard.backends import Adapter, PlainRow
from ct_guard.files.cache import file_digest

KNOWN: dict[tuple[object, ...], NDArray[np.float32]] = {}


@pytest.fixture(scope="module", autouse=True)
def _plain_readings_are_kept() -> Iterator[None]:
    """What a model of these very files says of a row that is read plainly is computed once a
    session. The check computes anew what it compares that with: the scores of whatever is loaded.
    (`tests/unit` and `tests/contract`, where models are spoilt, keep nothing.)"""
    from ct_guard.backends.transformers import TransformersBackend

    read = TransformersBackend.read_plainly

    def kept(
        self: TransformersBackend, row: PlainRow, tokens: Sequence[int]
    ) -> NDArray[np.float32]:
        model = (self.digest, self.fingerprint, self.format, self.device)
        adapter = None if row.adapter is None else _content(row.adapter)
        about = (row.ids, adapter, row.acts, row.beside, row.jump, tuple(tokens))
        if not self.digest:
            return read(self, row, tokens)
        if (*model, *about) not in KNOWN:
            KNOWN[(*model, *about)] = read(self, row, tokens)
        return KNOWN[(*model, *about)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransformersBackend, "read_plainly", kept)
        yield


def _content(adapter: Adapter) -> tuple[object, ...]:
    files = sorted(path for path in adapter.path.rglob("*") if path.is_file())
    return (adapter.activation, *(_digest(path, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=256)
def _digest(path: Path, written: int) -> str:
    return file_digest(path)
