"""Which files are meant: names, folders and patterns, and what the output of each is called."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ct_guard.errors import InputError, UsageError

from .document import is_document
from .paths import STDIO, StrPath, format_of

__all__ = ["Input", "inputs_of", "is_folder", "outputs_in"]

_MAGIC = "*?["


@dataclass(frozen=True)
class Input:
    """A file to read."""

    path: str
    name: PurePath
    """What it is called beside the others: its place in the folder that was named, or its name."""


def inputs_of(sources: StrPath | Sequence[StrPath], *, output: StrPath = STDIO) -> list[Input]:
    """The files that are meant, each once: those that are named, in that order; of a folder all in
    it and below that are rows by their name, and of a pattern (`runs/**/*.jsonl`) those that it
    fits, by name. Hidden files, and what lies in the folder `output`, are not among them.

    Raises InputError for a folder or a pattern without a file.
    """
    named = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    if not named:
        raise UsageError("no input is named: name files, a folder or a pattern")
    beside = Path(output).resolve() if is_folder(output) else None
    found: dict[str, Input] = {}
    for source in [os.fspath(one) for one in named]:
        if "\0" in source:
            raise InputError(f"{source!r}: is no name of a file")
        for one in _meant(source, beside):
            found.setdefault(_identity(one.path), one)
    if len(found) > 1 and STDIO in found:
        raise UsageError("standard input is read alone: leave the files out, or '-'")
    return list(found.values())


def is_folder(output: StrPath) -> bool:
    """Whether an output is a folder, in which every input has one of its name: it is there, or its
    name ends in a slash."""
    name = os.fspath(output)
    return name != STDIO and (name.endswith(("/", os.sep)) or Path(name).is_dir())


def outputs_in(folder: Path, inputs: Iterable[Input]) -> dict[str, Path]:
    """Where the output of every input goes, by its path. Raises UsageError for two of one name."""
    made: dict[str, Path] = {}
    taken: dict[Path, str] = {}
    for one in inputs:
        if one.path == STDIO:
            raise UsageError("standard input has no name: name an output file for it")
        # One JSON document is read as rows, and rows are written one a line.
        name = one.name.with_suffix(".jsonl") if is_document(one.path) else one.name
        target = folder / name
        if target in taken:
            raise UsageError(f"{taken[target]} and {one.path} would both be written to {target}")
        taken[target] = one.path
        made[one.path] = target
    return made


def _meant(source: str, beside: Path | None) -> Iterator[Input]:
    if source != STDIO and os.path.isdir(source):
        files = [Input(str(path), path.relative_to(source)) for path in _below(Path(source))]
        what = "has no file of rows in it (.jsonl, .csv, .parquet)"
    elif any(sign in source for sign in _MAGIC) and not os.path.exists(source):
        fitting = sorted(glob.glob(source, recursive=True))
        root = _fixed(source)
        paths = [path for path in map(Path, fitting) if path.is_file()]
        files = [Input(str(path), path.relative_to(root)) for path in paths]
        what = "fits no file"
    else:
        yield Input(source, PurePath(Path(source).name))
        return
    if beside is not None:
        files = [one for one in files if beside not in Path(one.path).resolve().parents]
    if not files:
        raise InputError(f"{source}: {what}; check the path")
    yield from files


def _below(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and _holds_rows(path)
    )


def _holds_rows(path: Path) -> bool:
    try:
        format_of(path)
    except InputError:
        return False
    return True


def _fixed(pattern: str) -> Path:
    """The folders of a pattern in front of its first sign."""
    parts = Path(pattern).parts
    first = next(at for at, part in enumerate(parts) if any(sign in part for sign in _MAGIC))
    return Path(*parts[:first])


def _identity(path: str) -> str:
    return path if path == STDIO else os.path.realpath(path)
