"""Which rows of a file are scored together."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from ct_guard.estimators import Estimator
from ct_guard.evidence import spelled_alike
from ct_guard.files import Row

from .pace import Pace

__all__ = ["CHUNK_ROWS", "chunks_for", "text_of"]

CHUNK_ROWS = 1024
CHUNK_CHARACTERS = 4_000_000
"""Most of a chunk, which is scored and written together: enough to batch by length, bounded in
memory. How much of it is used goes by the clock (`Pace`)."""
BOX = 64
"""What a list or an object weighs beside its parts, in characters."""
_READ = ("question", "context", "messages", "answer")
QUERY_CHARACTERS = 200
"""What the query and the template add to the text of a row, about."""


def chunks_for(estimator: Estimator, rows: Iterator[Row], pace: Pace) -> Iterator[list[Row]]:
    """Rows to score together, by the pace of a run.

    Where answers to one question tell of each other, none of them are apart: a file in which they
    do not stand behind one another is one chunk, and so is every file without a base model, which
    takes seconds.
    """
    if not estimator.reads_together:
        yield from _chunks(rows, pace)
        return
    known = list(rows)
    if estimator.backend is None:
        yield from [known] if known else []
        return
    questions = [tuple(spelled_alike(str(part)) for part in _asked(row)) for row in known]
    starts = [at for at, text in enumerate(questions) if at == 0 or text != questions[at - 1]]
    if not known:
        return
    if len(starts) > len(set(questions)):
        yield known
        return
    yield from _whole_questions((known[a:b] for a, b in pairwise([*starts, len(known)])), pace)


def _whole_questions(questions: Iterable[list[Row]], pace: Pace) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    text = 0
    for rows in questions:
        chunk += rows
        text += sum(map(text_of, rows))
        if len(chunk) >= pace.rows or (pace.text is not None and text >= pace.text):
            yield chunk
            chunk, text = [], 0
    if chunk:
        yield chunk


def _chunks(rows: Iterator[Row], pace: Pace) -> Iterator[list[Row]]:
    """Rows to score together. Answers to one question stay together as far as twice the size: they
    share what the model reads first."""
    chunk: list[Row] = []
    memory = text = 0
    for row in rows:
        full = len(chunk) >= pace.rows or (pace.text is not None and text >= pace.text)
        if chunk and full:
            together = len(chunk) < 2 * pace.rows and _asked(row) == _asked(chunk[-1])
            if not together or len(chunk) >= CHUNK_ROWS:
                yield chunk
                chunk, memory, text = [], 0, 0
        chunk.append(row)
        memory += _size(row.fields)
        text += 0 if pace.text is None else text_of(row)
        if memory > CHUNK_CHARACTERS:
            yield chunk
            chunk, memory, text = [], 0, 0
    if chunk:
        yield chunk


def _asked(row: Row) -> tuple[Any, ...]:
    return tuple(row.fields.get(name) for name in ("question", "context", "messages"))


def text_of(row: Row) -> int:
    """Characters that the model reads of a row, about."""
    found = QUERY_CHARACTERS
    for name in _READ:
        value = row.fields.get(name)
        if value is not None:
            found += len(value) if isinstance(value, str) else _size(value)
    return found


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
