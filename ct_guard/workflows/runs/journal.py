"""The journal that makes a long run over a file resumable."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

from ct_guard.errors import InputError, UsageError
from ct_guard.files.jsonl import decode_line, encode_line

__all__ = ["Journal", "is_written", "journal_path", "results_in"]

Record = Mapping[str, Any]

_WRITTEN = "written"
"""The one key of the line that says which file the run was about to finish."""
_ONCE = (str, int, bool, type(None))
"""Values that are written once for all records of a line: what is equal among these is the same."""
_TAIL = 4096
EVERY_SECONDS = 1.0
"""What a machine may lose that loses its power: a process that is killed loses nothing."""
SHARE = 0.05
"""Of the time that may go into waiting for a slow disk."""
_SHOWN = 60
"""Most characters of a setting in a message."""


def journal_path(output: str | os.PathLike[str]) -> Path:
    """Where the journal of a run that writes `output` lies."""
    return Path(f"{os.fspath(output)}.journal")


class Journal:
    """Results on disk as they come: a line of JSON for those that were appended together, after one
    with the fingerprint of the run.

    Only what was written whole counts: a run that was killed leaves at most one torn line at the
    end, which is cut off before anything is added. Floats come back exactly.

    Attributes:
        stored: results in the journal.
    """

    def __init__(self, path: Path, file: BinaryIO, stored: int) -> None:
        self._path = path
        self._file = file
        self._due = 0.0
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
        for line, end in lines:  # noqa: B007  the end of the last whole line is what matters
            stored += _count(line)
        file.seek(end)
        file.truncate()
        journal = cls(path, file, stored)
        if not end:
            journal._write(fingerprint, sync=True)
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
            for line, _ in lines:
                if _count(line):
                    yield from _unpacked(line)

    def append(self, results: Iterable[Record], *, sync: bool = False) -> None:
        """Adds results, and returns when the system has them: no kill of this process loses them.
        With `sync`, and about once a second, they are brought to disk. Raises ValueError, and adds
        none of them, where a number is NaN or infinite."""
        together = list(results)
        if together:
            self._write(_packed(together), sync=sync or monotonic() >= self._due)
            self.stored += len(together)

    def announce(self, output: os.stat_result) -> None:
        """Notes the file that is about to become the output: a run that is killed before it deletes
        its journal knows by this that the output is its own."""
        self._write({_WRITTEN: _identity(output)}, sync=True)

    def close(self) -> None:
        """Keeps the journal for a later run."""
        self._file.close()

    def finish(self) -> None:
        """Deletes the journal: the output is complete."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _write(self, line: Mapping[str, Any], *, sync: bool) -> None:
        self._file.write(encode_line(line))
        self._file.flush()
        if sync:
            begun = monotonic()
            os.fsync(self._file.fileno())
            ended = monotonic()
            self._due = ended + max(EVERY_SECONDS, (ended - begun) / SHARE)


def _packed(records: Sequence[Record]) -> dict[str, Any]:
    """Records of the same names as lists by name, and what all of them share once; others as they
    are."""
    names = records[0].keys()
    if any(record.keys() != names for record in records):
        return {"count": len(records), "each": records}
    shared: dict[str, Any] = {}
    lists: dict[str, list[Any]] = {}
    for name in names:
        values = list(map(itemgetter(name), records))
        if _are_one(values):
            shared[name] = values[0]
        else:
            lists[name] = values
    return {"count": len(records), "names": list(names), "shared": shared, "lists": lists}


def _are_one(values: list[Any]) -> bool:
    kind = type(values[0])
    alike = kind in _ONCE and values.count(values[0]) == len(values)
    return alike and set(map(type, values)) == {kind}


def _unpacked(line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "each" in line:
        yield from line["each"]
        return
    names, shared, lists = line["names"], line["shared"], line["lists"]
    columns = [repeat(shared[name]) if name in shared else lists[name] for name in names]
    for _, *values in zip(range(line["count"]), *columns, strict=False):
        yield dict(zip(names, values, strict=True))


def _whole_lines(file: BinaryIO) -> Iterator[tuple[dict[str, Any], int]]:
    """Each object and the position after it, up to the first line that was not written whole."""
    end = 0
    for line in file:
        try:
            value = decode_line(line)
        except ValueError:
            return
        if not line.endswith(b"\n") or not isinstance(value, dict):
            return
        end += len(line)
        yield value, end


def is_written(output: str | os.PathLike[str]) -> bool:
    """Whether `output` is what the run of its journal wrote, which was then killed on its last
    step."""
    try:
        with journal_path(output).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL))
            mark = json.loads(file.readlines()[-1])
        return bool(_is_mark(mark) and mark[_WRITTEN] == _identity(os.stat(output)))
    except (OSError, ValueError, IndexError):
        return False


def results_in(path: Path) -> int:
    """How many results the journal at `path` holds; none where there is none."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        lines = _whole_lines(file)
        next(lines, None)
        return sum(_count(line) for line, _ in lines)


def _count(line: Mapping[str, Any]) -> int:
    return 0 if _is_mark(line) else int(line["count"])


def _is_mark(line: Any) -> bool:
    return isinstance(line, dict) and line.keys() == {_WRITTEN}


def _identity(output: os.stat_result) -> dict[str, int]:
    return {"size": output.st_size, "mtime_ns": output.st_mtime_ns}


def _check_same_run(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    differing = sorted(
        key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)
    )
    if differing:
        named = ", ".join(_difference(key, found, wanted) for key in differing)
        raise UsageError(
            f"{path}: belongs to a run with another {named}; "
            "give the settings that it began with, or `overwrite` without `resume` to start anew"
        )


def _difference(key: str, found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The setting, with both values where they can be read at a glance."""
    values = [json.dumps(side.get(key)) for side in (found, wanted)]
    shown = max(map(len, values)) <= _SHOWN
    return f"{key} ({values[0]}, now {values[1]})" if shown else key
