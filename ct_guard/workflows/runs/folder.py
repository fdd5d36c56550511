"""Score many files into a folder, each into one of its name; a journal says which are finished."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ct_guard.datasets import sha256_of
from ct_guard.errors import InputError, OutputExistsError
from ct_guard.files import check_output
from ct_guard.files.locking import alone

from .journal import Journal, journal_path
from .reading import Reading
from .run import FOLDER_SCHEMA, writing
from .score import score_file
from .summary import Summary, graded_rows

if TYPE_CHECKING:
    from ..engines import Engine

__all__ = ["check_folder", "score_folder"]


def check_folder(
    targets: Mapping[str, Path], folder: Path, *, overwrite: bool, resume: bool
) -> None:
    """Checks, before anything is loaded, that a run to a folder may begin: `targets` are the
    outputs by their sources. Raises as `check_run`."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, where a folder is to be; name another output")
    if overwrite or resume:
        return
    if journal_path(folder).exists():
        raise OutputExistsError(
            f"an interrupted run to {folder} left its journal: `resume` goes on with it,"
            " `overwrite` begins again"
        )
    for source, target in targets.items():
        if target.parent.is_dir():
            check_output(target, source=source, resumable=True)


def score_folder(
    engine: "Engine",
    reading: Reading,
    targets: Mapping[str, Path],
    folder: Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    preview: int = 0,
    on_resumed: Callable[[int], None] = lambda count: None,
    **options: Any,
) -> dict[str, Summary]:
    """Write the rows of every file of `reading` to its target below `folder`, as `score_file` does
    with the same `options`; what each run did, by its source.

    With `resume`, files that an earlier run finished stay as they are, the one that it was at goes
    on, and the others follow. Raises as `score_file`.
    """
    check_folder(targets, folder, overwrite=overwrite, resume=resume)
    settings = {"schema": FOLDER_SCHEMA, **engine.about.settings, **reading.settings}
    summaries: dict[str, Summary] = {}
    with (
        writing(reading.sources, folder),
        _made(folder),
        alone(folder),
        Journal.open(journal_path(folder), settings, resume=resume) as journal,
    ):
        finished = {record["output"]: record for record in journal.replay()}
        for part in reading.parts:
            target = targets[part.source]
            target.parent.mkdir(parents=True, exist_ok=True)
            name = str(target.relative_to(folder))
            if _is_finished(finished.get(name), part.source, target):
                journal_path(target).unlink(missing_ok=True)
                done = Summary.restored(finished[name]["counters"], graded_rows(str(target)))
                on_resumed(done.rows)
                summaries[part.source] = done
                continue
            digest = sha256_of(part.source)

            def announce(stat: os.stat_result, summary: Summary) -> None:
                about = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
                record = {"output": name, "input": digest, **about}  # noqa: B023
                journal.append([record | {"counters": summary.counters()}], sync=True)

            shown = max(0, preview - sum(len(one.preview) for one in summaries.values()))
            summaries[part.source] = score_file(
                engine,
                replace(reading, parts=(part,)),
                target,
                overwrite=overwrite,
                resume=resume,
                preview=shown,
                announce=announce,
                on_resumed=on_resumed,
                **options,
            )
        journal.finish()
    return summaries


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    yield


def _is_finished(record: Mapping[str, Any] | None, source: str, target: Path) -> bool:
    """Whether the target is what an earlier run wrote from this very source."""
    if record is None or not target.is_file():
        return False
    about = target.stat()
    written = (record["size"], record["mtime_ns"]) == (about.st_size, about.st_mtime_ns)
    return written and bool(record["input"] == sha256_of(source))
