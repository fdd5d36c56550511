"""What every run over a file keeps to: one at a time, resumable, its output whole or not there."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ct_guard import __version__
from ct_guard.datasets import sha256_of
from ct_guard.errors import InputError, OutputExistsError, UsageError
from ct_guard.files import check_output
from ct_guard.files.locking import alone, check_free
from ct_guard.files.paths import STDIO, Sources, all_of

from .journal import Journal, is_written, journal_path

__all__ = ["Run", "check_run", "running", "writing"]

JOURNAL_SCHEMA = 5
FOLDER_SCHEMA = 2


@dataclass(frozen=True)
class Run:
    """A run that has its output for itself."""

    overwrite: bool
    """Whether the output may be replaced: as asked for, or since this run has written it itself."""
    journal: Journal | None = None
    """None for pipes, which cannot be read again: nothing is stored, and nothing was."""

    @property
    def stored(self) -> int:
        """Results in the journal."""
        return 0 if self.journal is None else self.journal.stored

    def replay(self) -> Iterator[dict[str, Any]]:
        """The results that the journal held when the run began."""
        return iter(()) if self.journal is None else self.journal.replay()

    def append(self, results: Iterable[Mapping[str, Any]]) -> None:
        """Stores results. Raises as `Journal.append`."""
        if self.journal is not None:
            self.journal.append(results)

    def announce(self, output: os.stat_result) -> None:
        """Notes the file that is about to become the output."""
        if self.journal is not None:
            self.journal.announce(output)


def check_run(source: Sources, output: str | Path, *, overwrite: bool, resume: bool) -> None:
    """Checks, before anything is loaded, that a run may begin.

    Raises as `check_output`; UsageError where another process is at the output or a pipe is to be
    resumed; OutputExistsError where an interrupted run left a journal and neither `resume` nor
    `overwrite` says what to do with it.
    """
    if os.fspath(output) != STDIO:
        check_free(output)  # of a run that goes on, the journal is no leftover
    if _is_pipe(source, output):
        if resume:
            raise UsageError("a pipe cannot be resumed: give files as input and output")
    elif journal_path(output).exists() and not resume and not overwrite:
        raise OutputExistsError(
            f"an interrupted run to {os.fspath(output)} left its journal: `resume` goes on with it,"
            " `overwrite` begins again"
        )
    replace = overwrite or (resume and is_written(output))
    check_output(output, source=source, overwrite=replace, resumable=True)


def _is_pipe(source: Sources, output: str | Path) -> bool:
    return STDIO in (*all_of(source), os.fspath(output))


@contextmanager
def running(
    source: Sources,
    output: str | Path,
    settings: Mapping[str, Any],
    *,
    overwrite: bool,
    resume: bool,
) -> Iterator[Run]:
    """A run from `source` to `output`, with nobody else at the output. Its journal is there during
    the block, is kept if the block fails, and deleted if it ends well.

    `settings` are JSON values that say what the results follow from: a journal is taken up only by
    a run with the same ones over the same bytes.

    Raises as `check_run`, UsageError for a journal of another run, and InputError where the output
    cannot be written.
    """
    check_run(source, output, overwrite=overwrite, resume=resume)
    if os.fspath(output) == STDIO:
        with writing(source, output):
            yield Run(overwrite)
        return
    with writing(source, output), alone(output):
        # Whoever held it until now may have finished it.
        replace = overwrite or (resume and is_written(output))
        check_output(output, source=source, overwrite=replace, resumable=True)
        if _is_pipe(source, output):
            yield Run(overwrite)
            return
        bytes_of = [sha256_of(path) for path in all_of(source)]
        fingerprint = {
            "schema": JOURNAL_SCHEMA,
            "input": bytes_of[0] if len(bytes_of) == 1 else bytes_of,
            "version": __version__,
            **settings,
        }
        with Journal.open(journal_path(output), fingerprint, resume=resume) as journal:
            yield Run(replace, journal)
            journal.finish()


@contextmanager
def writing(source: Sources, output: str | Path) -> Iterator[None]:
    """Raises InputError where the output cannot be written, with what is left and the way on."""
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads on: nothing is wrong
    except OSError as error:
        kept = (
            "a pipe cannot be resumed, begin again"
            if _is_pipe(source, output)
            else "make room, then the same again with `resume` goes on from here"
        )
        raise InputError(
            f"{output}: cannot be written: {error.strerror or error}; {kept}"
        ) from error
