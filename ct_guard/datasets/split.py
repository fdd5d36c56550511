"""A file divided into parts by question, so that no question is in two of them."""

import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ct_guard.errors import InputError, UsageError
from ct_guard.files import (
    Needs,
    Rejected,
    Row,
    Shape,
    check_beginning,
    check_output,
    open_rows,
    open_writer,
    question_answer,
)
from ct_guard.files.paths import STDIO, suffix_of

__all__ = ["part_of", "part_suffix", "split_file"]

OURS = Shape()
NEEDS: Needs = (("question", "messages"),)


def part_of(question_key: str, shares: Mapping[str, float], lots: str) -> str:
    """The part of a question, by shares in any unit. It depends on the question and on the name of
    the lots alone, so that the same question elsewhere falls into the same part."""
    draw = random.Random(f"{lots}:{question_key}").random() * sum(shares.values())  # noqa: S311
    for name, share in shares.items():
        draw -= share
        if draw < 0:
            return name
    return name


def part_suffix(source: str | Path, shape: Shape = OURS) -> str:
    """What the names of the parts end in: as the source's, `.jsonl` for rows of another shape."""
    return ".jsonl" if shape.changes(source) else suffix_of(source)


def split_file(
    source: str | Path,
    folder: Path,
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    overwrite: bool = False,
    shape: Shape = OURS,
) -> dict[str, tuple[int, int]]:
    """Write every row of `source` to one of the files `PART.suffix` in `folder`, all rows of a
    question to the same one, with all their columns.

    Args:
        source: .jsonl, .csv or .parquet, with a column `question` (or `messages`).
        folder: is made where it does not exist.
        shares: of the questions, by part, in any unit; reached as nearly as drawing lots does.
        seed: of the lots.
        overwrite: whether files that are there may be replaced.
        shape: what the rows are like, if they are not ours; the parts have them as ours.

    Returns:
        Rows and questions of each part.

    Raises:
        UsageError: shares that are no names and positive numbers.
        InputError: a row that cannot be read, or a part that is left empty. Nothing is written.
        OutputExistsError: a file is there already.
    """
    if str(source) == STDIO:
        raise UsageError("a pipe has no name for its parts: give a file")
    for name, share in shares.items():
        if not name or Path(name).name != name or not share > 0:
            raise UsageError(f"{name}={share:g}: a part is a file's name and a share above 0")
    outputs = {name: folder / f"{name}{part_suffix(source, shape)}" for name in shares}
    rows: dict[str, int] = dict.fromkeys(shares, 0)
    questions: dict[str, set[str]] = {name: set() for name in shares}
    items = open_rows(source, NEEDS, shape)
    check_beginning(source, NEEDS, shape)
    with _folder(folder), ExitStack() as stack:
        for path in outputs.values():
            check_output(path, source=source, overwrite=overwrite)
        writers = {
            name: stack.enter_context(
                open_writer(
                    path,
                    {},
                    source=source,
                    overwrite=overwrite,
                    reshaped=shape.changes(source),
                )
            )
            for name, path in outputs.items()
        }
        for row in items:
            key = _key(row)
            name = part_of(key, shares, f"part:{seed}")
            writers[name].write(row, {})
            rows[name] += 1
            questions[name].add(key)
        empty = [name for name, count in rows.items() if not count]
        if empty:
            raise InputError(
                f"{source}: no question falls into the part '{empty[0]}': it has too few questions"
                " for such shares"
            )
    return {name: (rows[name], len(questions[name])) for name in shares}


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """There within the block, and gone again where the block fails and made nothing in it."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for one in new:
            if any(one.iterdir()):
                break
            one.rmdir()
        raise


def _key(row: Row) -> str:
    """Of the question alone: a row need not have an answer yet."""
    asked = {name: row.fields.get(name) for name in ("question", "context", "messages")}
    item = question_answer(row._replace(fields={**asked, "answer": None}))
    if isinstance(item, Rejected):
        raise InputError(item.message)
    return item.question_key()
