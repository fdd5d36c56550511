"""The journal that makes a long run over a file resumable."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ct_guard import __version__
from ct_guard.errors import InputError, OutputExistsError, UsageError
from ct_guard.files.paths import STDIO

__all__ = ["Journal", "journal_path", "open_journal", "writing"]

JOURNAL_SCHEMA = 2


def journal_path(output: str | os.PathLike[str]) -> Path:
    """Where the journal of a run that writes `output` lies."""
    return Path(f"{os.fspath(output)}.journal")


def open_journal(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: Mapping[str, Any],
    *,
    resume: bool,
    overwrite: bool,
) -> "Journal | None":
    """The journal of the run from `source` to `output` under `settings` (JSON values); None for
    pipes, which cannot be read again.

    Raises OutputExistsError where an interrupted run left a journal and neither `resume` nor
    `overwrite` says what to do with it, UsageError for a journal of another run.
    """
    if STDIO in (os.fspath(source), os.fspath(output)):
        if resume:
            raise UsageError("a pipe cannot be resumed: give files as input and output")
        return None
    if journal_path(output).exists() and not resume and not overwrite:
        raise OutputExistsError(
            f"an interrupted run to {os.fspath(output)} left its journal: --resume goes on with it,"
            " --overwrite begins again"
        )
    stat = Path(source).stat()
    fingerprint = {
        "schema": JOURNAL_SCHEMA,
        "input": str(Path(source).resolve()),
        "input_size": stat.st_size,
        "input_mtime_ns": stat.st_mtime_ns,
        "version": __version__,
        **settings,
    }
    return Journal.open(journal_path(output), fingerprint, resume=resume)


@contextmanager
def writing(source: str | os.PathLike[str], output: str | os.PathLike[str]) -> Iterator[None]:
    """Raises InputError where the output cannot be written, with what is left and the way on."""
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads on: nothing is wrong
    except OSError as error:
        kept = (
            "a pipe cannot be resumed, begin again"
            if STDIO in (os.fspath(source), os.fspath(output))
            else "make room, then the same command with --resume goes on from here"
        )
        raise InputError(
            f"{output}: cannot be written: {error.strerror or error}; {kept}"
        ) from error


class Journal:
    """Results on disk as they come, in JSONL after one line with the fingerprint of the run.

    Only what was written whole counts: a run that was killed leaves at most one torn line at the
    end, which is cut off before anything is added. Floats come back exactly.

    Attributes:
        stored: results in the journal.
    """

    def __init__(self, path: Path, file: BinaryIO, stored: int) -> None:
        self._path = path
        self._file = file
        self.stored = stored

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], fingerprint: Mapping[str, Any], *, resume: bool
    ) -> "Journal":
        """The journal at `path`: the one that is there if `resume`, else a new one.

        Args:
            path: the journal, see `journal_path`; its folder must exist.
            fingerprint: JSON values that say which run this is: input, estimator, policy…
            resume: whether to go on with a journal that exists; else it is discarded.

        Raises UsageError where the journal belongs to a run with another fingerprint.
        """
        path = Path(path)
        try:
            file = path.open("r+b" if resume and path.exists() else "w+b")
        except OSError as error:
            raise InputError(f"{path}: journal cannot be written: {error.strerror}") from None
        try:
            return cls._continued(path, file, json.loads(json.dumps(fingerprint)))
        except BaseException:
            file.close()
            raise

    @classmethod
    def _continued(cls, path: Path, file: BinaryIO, fingerprint: dict[str, Any]) -> "Journal":
        lines = _whole_lines(file)
        first, end = next(lines, ({}, 0))
        if end:
            _check_same_run(path, first, fingerprint)
        stored = 0
        for _, end in lines:  # noqa: B007  the end of the last whole line is what matters
            stored += 1
        file.seek(end)
        file.truncate()
        journal = cls(path, file, stored)
        if not end:
            journal._write([fingerprint])
        return journal

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def replay(self) -> Iterator[dict[str, Any]]:
        """The stored results, in the order in which they were appended."""
        with self._path.open("rb") as file:
            lines = _whole_lines(file)
            next(lines, None)
            for result, _ in lines:
                yield result

    def append(self, results: Iterable[Mapping[str, Any]]) -> None:
        """Adds results, and returns when they are on disk. Raises ValueError, and adds none of
        them, where a number is NaN or infinite."""
        self.stored += self._write(results)

    def close(self) -> None:
        """Keeps the journal for a later run."""
        self._file.close()

    def finish(self) -> None:
        """Deletes the journal: the output is complete."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _write(self, records: Iterable[Mapping[str, Any]]) -> int:
        lines = [json.dumps(record, allow_nan=False).encode() + b"\n" for record in records]
        self._file.writelines(lines)
        self._file.flush()
        os.fsync(self._file.fileno())
        return len(lines)


def _whole_lines(file: BinaryIO) -> Iterator[tuple[dict[str, Any], int]]:
    """Each object and the position after it, up to the first line that was not written whole."""
    end = 0
    for line in file:
        try:
            value = json.loads(line)
        except ValueError:
            return
        if not line.endswith(b"\n") or not isinstance(value, dict):
            return
        end += len(line)
        yield value, end


def _check_same_run(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    differing = sorted(
        key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)
    )
    if differing:
        raise UsageError(
            f"{path}: belongs to a run with another {', '.join(differing)}; "
            "give the command that it began with, or --overwrite without --resume to start anew"
        )
