"""Which rows of a file are scored together."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from ct_guard.estimators import Estimator
from ct_guard.evidence import spelled_alike
from ct_guard.files import Row

from .pace import Pace

__all__ = ["CHUNK_ROWS", "Chunk", "chunks_for"]

CHUNK_ROWS = 1024
CHUNK_CHARACTERS = 4_000_000
"""Most of a chunk, which is scored and written together: enough to batch by length, bounded in
memory. How much of it is used goes by the clock (`Pace`)."""
BOX = 64
"""What a list or an object weighs beside its parts, in characters."""
_READ = frozenset(("question", "context", "messages", "answer"))
QUERY_CHARACTERS = 200
"""What the query and the template add to the text of a row, about."""


class Chunk(NamedTuple):
    """Rows that are scored together."""

    rows: list[Row]
    texts: list[int]
    """Of each, the characters that the model reads, about."""

    @classmethod
    def of(cls, rows: list[Row]) -> "Chunk":
        return cls(rows, [_weighed(row)[1] for row in rows])


def chunks_for(estimator: Estimator, rows: Iterator[Row], pace: Pace) -> Iterator[Chunk]:
    """Rows to score together, by the pace of a run.

    Where answers to one question tell of each other, none of them are apart: a file in which they
    do not stand behind one another is one chunk, and so is every file without a base model, which
    takes seconds.
    """
    if not estimator.reads_together:
        yield from _chunks(rows, pace)
        return
    known = list(rows)
    if not known:
        return
    if estimator.backend is None:
        yield Chunk.of(known)
        return
    questions = [tuple(spelled_alike(str(part)) for part in _asked(row)) for row in known]
    starts = [at for at, text in enumerate(questions) if at == 0 or text != questions[at - 1]]
    if len(starts) > len(set(questions)):
        yield Chunk.of(known)
        return
    yield from _whole_questions((known[a:b] for a, b in pairwise([*starts, len(known)])), pace)


def _whole_questions(questions: Iterable[list[Row]], pace: Pace) -> Iterator[Chunk]:
    chunk = Chunk([], [])
    text = 0
    for rows in map(Chunk.of, questions):
        chunk.rows.extend(rows.rows)
        chunk.texts.extend(rows.texts)
        text += sum(rows.texts)
        if len(chunk.rows) >= pace.rows or (pace.text is not None and text >= pace.text):
            yield chunk
            chunk, text = Chunk([], []), 0
    if chunk.rows:
        yield chunk


def _chunks(rows: Iterator[Row], pace: Pace) -> Iterator[Chunk]:
    """Rows to score together. Answers to one question stay together as far as twice the size: they
    share what the model reads first."""
    chunk = Chunk([], [])
    memory = text = 0
    for row in rows:
        count = len(chunk.rows)
        if count and (count >= pace.rows or (pace.text is not None and text >= pace.text)):
            together = count < 2 * pace.rows and _asked(row) == _asked(chunk.rows[-1])
            if not together or count >= CHUNK_ROWS:
                yield chunk
                chunk, memory, text = Chunk([], []), 0, 0
        size, read = _weighed(row)
        chunk.rows.append(row)
        chunk.texts.append(read)
        memory, text = memory + size, text + read
        if memory > CHUNK_CHARACTERS:
            yield chunk
            chunk, memory, text = Chunk([], []), 0, 0
    if chunk.rows:
        yield chunk


def _asked(row: Row) -> tuple[Any, ...]:
    return tuple(row.fields.get(name) for name in ("question", "context", "messages"))


def _weighed(row: Row) -> tuple[int, int]:
    """Characters of a row, and of what the model reads of it, about."""
    memory, read = BOX, QUERY_CHARACTERS
    for name, value in row.fields.items():
        size = len(value) if isinstance(value, str) else _size(value)
        memory += size
        if name in _READ:
            read += size
    return memory, read


def _size(value: Any) -> int:
    """Characters of text in a value, however nested, and what its lists and objects weigh."""
    if isinstance(value, str):
        return len(value)
    if not isinstance(value, (dict, list)):
        return 0
    found = BOX
    for part in value.values() if isinstance(value, dict) else value:
        found += len(part) if isinstance(part, str) else _size(part)
    return found
