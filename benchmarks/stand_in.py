"""An estimator without a model, for what is measured around it: files, kills, workers."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ct_guard.backends import Adapter, Item, ScoreBatch, Want
from ct_guard.estimators import Estimator, make_method
from ct_guard.guard import Guard
from ct_guard.query import Query, build_query
from ct_guard.store import BaseModelRef, Manifest
from ct_guard.testing import FakeBackend

__all__ = ["guard", "rows", "write_rows"]


class _Working(FakeBackend):
    """Takes its time over every row: asleep, or at work on a core."""

    def __init__(self, asleep: float, at_work: float) -> None:
        super().__init__()
        self._asleep, self._at_work = asleep, at_work

    def score(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> ScoreBatch:
        for _ in items:
            if self._asleep:
                time.sleep(self._asleep)
            until = time.process_time() + self._at_work
            while time.process_time() < until:
                hashlib.sha256(bytes(1 << 16)).digest()
        return super().score(items, query, adapter, want)


def guard(asleep: float = 0.0, at_work: float = 0.0) -> tuple[Guard, Sequence[str]]:
    """A guard whose scores are a hash of what it reads, and nothing to remark on. `asleep` and
    `at_work` are seconds a row."""
    backend = _Working(asleep, at_work)
    manifest = Manifest(
        name="stand-in", method="query", base=BaseModelRef(id="none"), style="chat_turn"
    )
    estimator = Estimator(
        manifest=manifest,
        method=make_method(manifest, backend=backend),
        backend=backend,
        query=build_query(manifest.style, backend.encoder),
        adapter=None,
        fingerprint="stand-in",
    )
    return Guard(estimator, 0.5), ()


def rows(count: int) -> Iterator[str]:
    """Short rows as lines of JSON."""
    for n in range(count):
        yield f'{{"id": {n}, "question": "What is {n} plus 1?", "answer": "{n + 1}"}}\n'


def write_rows(path: Path, count: int) -> Path:
    with path.open("w") as file:
        file.writelines(rows(count))
    return path
