"""Scoring by workers on a Ray cluster: a Ray Data dataset of chunks, mapped by a pool of actors.

What travels is small. A chunk is a number: every worker reads the input itself, forward, and takes
its chunks out of it, so that no row lies in Ray's object store, whatever the size of the files. Ray
Data hands the chunks out in their order as workers have time, restarts workers that are lost and
gives their chunks to others, and brings the results back in order.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from ct_guard import errors
from ct_guard.errors import BackendError, CtGuardError, MissingExtraError
from ct_guard.files import Row
from ct_guard.files.jsonl import decode_line
from ct_guard.guard import Guard

from ..runs.assessing import About, Result, Terms, about, assess
from ..runs.reading import Reading
from .base import Scored

__all__ = ["RayPool"]

CHUNK_ROWS = 256
"""Rows that a worker takes at a time: enough to batch by length, and not much to lose."""
MOST_CHUNKS = 20_000
"""Of longer files, chunks are larger: Ray keeps a note of every one."""

T = TypeVar("T")
Failure = dict[str, str]
Make = Callable[[], tuple[Guard, Sequence[str]]]
"""Loads the estimator where it is called."""


class RayPool:
    """Joins the cluster that `RAY_ADDRESS` names, else starts one on this machine for the time of
    the block. The input must lie where every machine of the cluster sees it under the same path.

    Args:
        make: the guard of a worker.
        terms: how rows are assessed.
        workers: how many; None: one for each share of a GPU, else one a CPU.
        gpus_per_worker: 0.5 lets two workers share a GPU, which they must fit into together; None:
            a whole one where the cluster has any.
        chunk_rows: rows that a worker takes at a time.

    Raises MissingExtraError without Ray.
    """

    about: About

    def __init__(
        self,
        make: Make,
        terms: Terms | None = None,
        *,
        workers: int | None = None,
        gpus_per_worker: float | None = None,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        self._ray = _required()
        self._make, self._terms = make, terms or Terms()
        self._workers, self._gpus, self._rows = workers, gpus_per_worker, chunk_rows
        self._mine = False

    def __enter__(self) -> Self:
        ray = self._ray
        self._mine = not ray.is_initialized()
        if self._mine:
            ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        try:
            resources = ray.cluster_resources()
            gpus = resources.get("GPU", 0.0)
            if self._gpus is None:
                self._gpus = 1.0 if gpus else 0.0
            if self._workers is None:
                share = gpus / self._gpus if self._gpus else resources.get("CPU", 1.0)
                self._workers = max(1, int(share))
            ask = ray.remote(_asked).options(num_cpus=1, num_gpus=self._gpus, max_retries=0)
            told = self._own(lambda: ray.get(ask.remote(self._make, self._terms)))
            self.about = _unless_failed(told)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._mine:
            self._ray.shutdown()

    def scored(self, reading: Reading, rows: Iterator[Row], done: int) -> Iterator[Scored]:
        left = _left(reading, done)
        size = max(self._rows, -(-left // MOST_CHUNKS))
        starts = range(done, done + left, size)
        results = self._results(reading, starts) if left else iter(())
        for start in starts:
            chunk = list(islice(rows, size))
            number, made = self._own(lambda: next(results))
            made = _unless_failed(made)
            if number != start or len(made) != len(chunk):
                raise BackendError(
                    f"a worker returned {len(made)} results from row {number} on, for {len(chunk)}"
                    f" rows from {start} on: do the files change while they are read, or differ"
                    " between the machines?"
                )
            yield Scored(chunk, made)

    def _results(self, reading: Reading, starts: range) -> Iterator[tuple[int, list[Result]]]:
        data = self._ray.data
        chunks = data.from_items(
            [{"start": start} for start in starts], override_num_blocks=len(starts)
        )
        scored = chunks.map_batches(
            _Worker,
            fn_constructor_args=(self._make, self._terms, reading, starts.step),
            batch_size=1,
            compute=data.ActorPoolStrategy(size=self._workers),
            num_gpus=self._gpus or None,
            num_cpus=None if self._gpus else 1,
        )
        scored.context.execution_options.preserve_order = True
        scored.context.enable_progress_bars = False
        scored.context.print_on_execution_start = False
        for row in scored.iter_rows():
            yield int(row["start"]), decode_line(row["results"])

    def _own(self, work: Callable[[], Any]) -> Any:
        """What Ray raises as an error of ours."""
        try:
            return work()
        except self._ray.exceptions.RayError as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise BackendError(f"a Ray worker failed: {said}") from error


class _Worker:
    """Lives in a process of its own, with a guard of its own."""

    def __init__(self, make: Make, terms: Terms, reading: Reading, chunk_rows: int) -> None:
        self._guard, _ = make()
        self._terms, self._reading, self._size = terms, reading, chunk_rows
        self._rows = reading.rows()
        self._at = 0

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        made = [self._scored(int(start)) for start in batch["start"]]
        return {"start": batch["start"], "results": np.array(made, object)}

    def _scored(self, start: int) -> bytes:
        made = _or_failure(lambda: assess(self._guard, self._chunk(start), self._terms))
        return json.dumps(made, allow_nan=False).encode()

    def _chunk(self, start: int) -> list[Row]:
        if start < self._at:  # it was a lost worker's
            self._rows, self._at = self._reading.rows(), 0
        chunk = list(islice(self._rows, start - self._at, start - self._at + self._size))
        self._at = start + len(chunk)
        return chunk


def _asked(make: Make, terms: Terms) -> About | Failure:
    def told() -> About:
        guard, remarks = make()
        return about(guard, terms, remarks)

    return _or_failure(told)


def _or_failure(work: Callable[[], T]) -> T | Failure:
    """What is raised on purpose travels as data: Ray would wrap it in its own errors."""
    try:
        return work()
    except CtGuardError as error:
        return {"error": type(error).__name__, "message": str(error)}


def _unless_failed(told: T | Failure) -> T:
    if not isinstance(told, dict):
        return told
    kind: type[CtGuardError] = getattr(errors, told["error"], CtGuardError)
    raise kind.__new__(kind, told["message"])


def _left(reading: Reading, done: int) -> int:
    """Rows behind the first `done`, counted exactly."""
    return sum(1 for _ in islice(reading.rows(), done, None))


def _required() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingExtraError("`engine` ray", "ray") from None
    return ray
