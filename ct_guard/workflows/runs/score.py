"""Score answers from files into one file: read, assess, write; a journal makes a killed run
resumable."""

import os
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.files import Row, many_rows, open_writer

from .assessing import Result, shape_settings
from .chunks import CHUNK_ROWS
from .earlier import bare
from .reading import Reading
from .run import running
from .summary import Summary

if TYPE_CHECKING:
    from ..engines import Engine

__all__ = ["score_file"]


def score_file(
    engine: "Engine",
    reading: Reading,
    output: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    spreadsheet: bool = False,
    preview: int = 0,
    only_failed: bool = False,
    announce: Callable[[os.stat_result, Summary], None] = lambda stat, summary: None,
    on_rows: Callable[[int], None] = lambda count: None,
    on_resumed: Callable[[int], None] = lambda count: None,
) -> Summary:
    """Write the rows of `reading` with the columns of `RESULTS` to `output`; rows keep their order.

    A row that cannot be read becomes a row with a status and a message and stops nothing. With
    `resume`, results of an earlier, interrupted run to the same output are taken from its journal.
    `spreadsheet` is as for `open_writer`. Rows of another shape are written as ours. With
    `only_failed` the rows are an earlier output's, and the results in them are not kept beside the
    new ones. `announce` is told the size and time of the file just before it becomes the output,
    `on_rows` how many rows were scored since it was last told, `on_resumed` how many were taken
    from the journal.

    Raises InputError for files that cannot be read or written, OutputExistsError for an output or a
    journal that is there, UsageError for a journal of another run and for an output that another
    process is writing.
    """
    summary = Summary()
    reading.check()
    added = engine.about.columns

    def told(stat: os.stat_result) -> None:
        run.announce(stat)
        announce(stat, summary)

    settings = shape_settings(reading.shape if reading.reshaped else None) | engine.about.settings
    with (
        many_rows(),
        running(
            reading.sources,
            output,
            settings | reading.settings,
            overwrite=overwrite,
            resume=resume,
        ) as run,
        open_writer(
            output,
            added,
            source=reading.sources,
            overwrite=run.overwrite,
            spreadsheet=spreadsheet,
            reshaped=reading.reshaped,
            without=added if only_failed else (),
            announce=told,
        ) as writer,
    ):

        def keep(rows: Sequence[Row], results: Sequence[Result]) -> None:
            summary.count(rows, results, preview)
            written = [bare(row, added) for row in rows] if only_failed else rows
            writer.write_all(written, results)

        rows, stored = reading.rows(), run.replay()
        while results := list(islice(stored, CHUNK_ROWS)):
            keep(list(islice(rows, len(results))), results)
        summary.replayed = run.stored
        on_resumed(run.stored)
        for chunk, results in engine.scored(reading, rows, run.stored):
            run.append(results)
            keep(chunk, results)
            on_rows(len(chunk))
    return summary
