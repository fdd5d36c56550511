"""Scores that are known already: by all that a score follows from, in memory and, if asked for, in
an SQLite file that processes share and that outlives them."""

import hashlib
import json
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ct_guard.errors import InputError, UsageError
from ct_guard.estimators import Estimator
from ct_guard.forks import ForkLock, Shared
from ct_guard.records import Confidence, QuestionAnswer

from .observing import Call

__all__ = ["Known", "ScoreCache", "key_of"]

_SCHEMA = 1
_TABLE = "CREATE TABLE IF NOT EXISTS scores_1 (key BLOB PRIMARY KEY, confidence TEXT NOT NULL)"
_PRUNED_EVERY = 1024
_BUSY_SECONDS = 1.0


def key_of(estimator: Estimator, qa: QuestionAnswer) -> bytes:
    """32 bytes that change with anything that a score follows from: the estimator and its files,
    the base and what it computes in, and all that is read of the row: question, answer, context,
    turns, samples and other columns, model, group, log-probabilities. Only `id` says nothing."""
    backend = estimator.backend
    computed = estimator.arithmetic
    scorer = [
        _SCHEMA,
        estimator.name,
        estimator.fingerprint,
        estimator.manifest.scorer,
        estimator.refusals,
        estimator.readings,
        estimator.swapped is not None,
        estimator.budget,
        computed.backend,
        computed.format,
        None if backend is None else [backend.fingerprint, backend.digest],
    ]
    row = qa.model_dump(mode="json", exclude={"id"})
    text = json.dumps([scorer, row], sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


class ScoreCache(Shared):
    """Scores by their keys: the latest `memory` of them in memory, `most` in the file at `path`.

    It may be shared by guards, threads and processes. Only answers with a probability are kept:
    what failed is tried again. Nothing of a row's text is in the file, but hashes of it.

        guard = Guard("mini", cache=ScoreCache(path="scores.sqlite"))

    Raises UsageError for numbers below 1, InputError for a file that is no such cache.
    """

    def __init__(
        self,
        memory: int = 10_000,
        *,
        path: str | os.PathLike[str] | None = None,
        most: int = 1_000_000,
    ) -> None:
        if memory < 1 or most < 1:
            raise UsageError("a cache keeps at least one score: `memory` and `most` begin at 1")
        self._memory: OrderedDict[bytes, Confidence] = OrderedDict()
        self._size = memory
        self._lock = ForkLock()
        self._disk = None if path is None else _Disk(Path(path), most)

    def __len__(self) -> int:
        """Scores in memory."""
        return len(self._memory)

    def find(self, keys: Sequence[bytes]) -> list[Confidence | None]:
        """The score of every key, None where it is not known."""
        found = [self._remembered(key) for key in keys]
        if self._disk is None:
            return found
        for at, (key, known) in enumerate(zip(keys, found, strict=True)):
            if known is None and (read := self._disk.read(key)) is not None:
                self._remember(key, read)
                found[at] = read
        return found

    def keep(self, scored: Sequence[tuple[bytes, Confidence]]) -> None:
        """Keep scores; those without a probability are passed over."""
        good = [(key, confidence) for key, confidence in scored if confidence.p is not None]
        for key, confidence in good:
            self._remember(key, confidence)
        if self._disk is not None and good:
            self._disk.write(good)

    def state(self) -> dict[str, int]:
        """What it holds, and how often the file could not be read or written."""
        state = {"in_memory": len(self)}
        if self._disk is not None:
            state["file_failures"] = self._disk.failures
        return state

    def close(self) -> None:
        """Close the file."""
        if self._disk is not None:
            self._disk.close()

    def _remembered(self, key: bytes) -> Confidence | None:
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
            return self._memory.get(key)

    def _remember(self, key: bytes, confidence: Confidence) -> None:
        with self._lock:
            self._memory[key] = confidence
            self._memory.move_to_end(key)
            while len(self._memory) > self._size:
                self._memory.popitem(last=False)


class _Disk:
    """The file. A cache must not stop an application: once it is open, a failure to read is a score
    that is not known, and a failure to write one that is not kept; both are counted."""

    def __init__(self, path: Path, most: int) -> None:
        self._path, self._most = path, most
        self.failures = 0
        self._written = 0
        self._lock = ForkLock()
        self._process = 0
        self._open: sqlite3.Connection | None = None
        self._inherited: list[sqlite3.Connection] = []
        with self._lock:
            try:
                self._connection()
            except sqlite3.Error as error:
                raise InputError(
                    f"{path}: cannot be used as a cache of scores: {error}; name another file, or"
                    " delete it"
                ) from None

    def read(self, key: bytes) -> Confidence | None:
        with self._lock:
            try:
                found = self._connection().execute(
                    "SELECT confidence FROM scores_1 WHERE key = ?", (key,)
                )
                row = found.fetchone()
                return None if row is None else Confidence.model_validate_json(row[0])
            except (sqlite3.Error, ValidationError):
                self.failures += 1
                return None

    def write(self, scored: Sequence[tuple[bytes, Confidence]]) -> None:
        rows = [(key, confidence.model_dump_json()) for key, confidence in scored]
        with self._lock:
            try:
                connection = self._connection()
                with connection:
                    connection.executemany("INSERT OR REPLACE INTO scores_1 VALUES (?, ?)", rows)
                self._written += len(rows)
                if self._written >= _PRUNED_EVERY:
                    self._written = 0
                    self._prune(connection)
            except sqlite3.Error:
                self.failures += 1

    def close(self) -> None:
        with self._lock:
            if self._open is not None and self._process == os.getpid():
                self._open.close()
                self._open = None

    def _connection(self) -> sqlite3.Connection:
        """Of this process: one that came through a fork must not be used, nor closed."""
        if self._open is not None and self._process != os.getpid():
            self._inherited.append(self._open)
            self._open = None
        if self._open is None:
            self._process = os.getpid()
            made = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, check_same_thread=False)
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = NORMAL")
            made.execute(_TABLE)
            made.commit()
            self._open = made
        return self._open

    def _prune(self, connection: sqlite3.Connection) -> None:
        """The oldest go first."""
        with connection:
            connection.execute(
                "DELETE FROM scores_1 WHERE rowid <= (SELECT max(rowid) FROM scores_1) - ?",
                (self._most,),
            )


class Known:
    """What a guard's cache knows of answers, and which are to be scored."""

    def __init__(
        self, cache: ScoreCache | None, estimator: Estimator, items: Sequence[QuestionAnswer]
    ) -> None:
        self._cache = cache
        self._keys: list[bytes] = []
        self._found: list[Confidence | None] = [None] * len(items)
        if self._cache is not None:
            self._keys = [key_of(estimator, qa) for qa in items]
            self._found = self._cache.find(self._keys)
        self.unknown = [qa for qa, one in zip(items, self._found, strict=True) if one is None]

    def with_scores(self, made: Sequence[Confidence], call: Call) -> list[Confidence]:
        """All confidences in order, where those of the unknown were `made`."""
        if self._cache is not None:
            asked = [key for key, one in zip(self._keys, self._found, strict=True) if one is None]
            self._cache.keep(list(zip(asked, made, strict=True)))
        rest = iter(made)
        scored = [next(rest) if one is None else one for one in self._found]
        call.cached, call.scored = len(scored) - len(made), scored
        return scored
