"""Scoring in this process, on this thread: an interrupt ends it cleanly."""

from collections.abc import Iterator, Sequence
from time import monotonic

from ct_guard.files import Row
from ct_guard.guard import Guard

from ..runs.assessing import Terms, about, assess, is_read
from ..runs.chunks import CHUNK_ROWS, chunks_for
from ..runs.pace import Pace
from ..runs.reading import Reading
from .base import Scored

__all__ = ["Local"]


class Local:
    """Chunks follow the clock, so that an interrupt costs some seconds of work: rows that are
    scored in other company agree within the noise of their number format."""

    def __init__(
        self, guard: Guard, terms: Terms | None = None, remarks: Sequence[str] = ()
    ) -> None:
        self._guard, self._terms = guard, terms or Terms()
        self.about = about(guard, self._terms, remarks)

    def scored(self, reading: Reading, rows: Iterator[Row], done: int) -> Iterator[Scored]:
        pace = Pace(CHUNK_ROWS)
        for chunk in chunks_for(self._guard.estimator, rows, pace):
            begun = monotonic()
            results = assess(self._guard, chunk.rows, self._terms)
            seconds = monotonic() - begun
            texts = [
                text for text, result in zip(chunk.texts, results, strict=True) if is_read(result)
            ]
            pace.took(seconds, rows=len(texts), text=sum(texts))
            yield Scored(chunk.rows, results)
