"""The shape that a file's rows have, where it is not ours: another tool's, or fields by other
names."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import Any

from ct_guard.errors import FieldError, InputError

from . import document, jsonl
from .columns import input_names
from .foreign import FORMATS, ForeignError, format_like
from .foreign_parts import asked, grade_of, path_of, said
from .paths import check_readable
from .rows import Needs, Row

__all__ = ["HINT", "Shape", "shape_hint"]

HINT = "say which fields they are with `question_field`, `answer_field` and `correct_field`"
"""The way out for rows of an unknown shape."""

BEGINNING = 100
"""Rows that speak for all."""

_QUESTION = ("question", "messages")

Read = Callable[[str | os.PathLike[str]], Iterator[Row]]


@dataclass(frozen=True)
class Shape:
    """How rows become rows of ours. All None: they are that already.

    Fields are named as they stand in the file, `doc.question` for one within another, and win over
    what the format says.
    """

    format: str | None = None
    """The tool that wrote the file, of `foreign.FORMATS`."""
    question_field: str | None = None
    answer_field: str | None = None
    correct_field: str | None = None
    requests: str | os.PathLike[str] | None = None
    """Of `openai-batch`: the file of the requests, which says what was asked."""

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in FORMATS:
            raise FieldError(f"`format` must be one of {', '.join(FORMATS)}, not {self.format!r}")
        if self.requests is not None and self.format != "openai-batch":
            raise FieldError("`requests` is for `format` openai-batch: leave it out")

    def changes(self, path: str | os.PathLike[str]) -> bool:
        """Whether rows of this file are read in another way than by its format alone."""
        return self.format is not None or bool(self._named) or document.is_document(path)

    @cached_property
    def _named(self) -> dict[str, str]:
        fields = {
            "question": self.question_field,
            "answer": self.answer_field,
            "correct": self.correct_field,
        }
        return {name: path for name, path in fields.items() if path is not None}

    @cached_property
    def _requests(self) -> Mapping[str, Any]:
        if self.requests is None:
            return {}
        rows = (row for row in jsonl.read(self.requests) if row.error is None)
        return {str(row.fields.get("custom_id")): row.fields for row in rows}

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of one row. A format keeps what it knows; else all are kept, those that make
        room for ours as `input_NAME`. Raises ForeignError for a row of another shape."""
        made: dict[str, Any] = {}
        if self.format is not None:
            sent = self._requests.get(str(fields.get("custom_id")))
            known = {**fields, "request": sent} if sent is not None else fields
            try:
                made = FORMATS[self.format].made(known)
            except ForeignError:
                raise
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise ForeignError(f"is no row of the format {self.format} ({error})") from None
        given = {name: path_of(fields, path) for name, path in self._named.items()}
        for name, value in given.items():
            if value is None and name != "correct":
                raise ForeignError(f"has no field '{self._named[name]}'")
        ours: dict[str, Any] = {}
        if "question" in given:
            ours |= asked(given["question"])
            made = {name: value for name, value in made.items() if name not in _QUESTION}
        if "answer" in given:
            ours["answer"] = said(given["answer"])
        if "correct" in given:
            grade = grade_of(given["correct"])
            ours["correct"] = given["correct"] if grade is None else grade
        if self.format is not None:
            return {**ours, **made, **ours}  # in the order in which people look
        moved = (name for name in fields if self._named.get(name) != name)
        return {new: fields[name] for name, new in input_names(moved, ours).items()} | ours

    def rows(self, path: str | os.PathLike[str], needs: Needs, read: Read) -> Iterator[Row]:
        """The rows of a file, which `read` reads, in our shape; a row of another shape comes with
        an error and as it is.

        Raises InputError, already here, where no row at the beginning of a file that can be read
        again has what it `needs`: it is then of another shape.
        """
        rows = self._source(path, read)
        if os.path.isfile(path):  # what can be read only once is not looked into
            first = list(islice(rows, BEGINNING))
            self._check(path, needs, first)
            rows = chain(first, rows)
        else:
            check_readable(path)
        return self._changed(rows)

    def _source(self, path: str | os.PathLike[str], read: Read) -> Iterator[Row]:
        if not document.is_document(path):
            return read(path)
        places = FORMATS[self.format].items if self.format is not None else ()
        return document.read(path, places)

    def _changed(self, rows: Iterator[Row]) -> Iterator[Row]:
        view = FORMATS[self.format].view if self.format is not None else None
        first = None
        for row in rows:
            seen = row.fields.get(view) if view is not None and row.error is None else None
            first = seen if first is None else first
            if seen is None or seen == first:
                yield self._row(row)

    def _row(self, row: Row) -> Row:
        if row.error is not None:
            return row
        try:
            return row._replace(fields=self.fields(row.fields))
        except ForeignError as error:
            return row._replace(error=f"{row.where}: {error}")

    def _check(self, path: str | os.PathLike[str], needs: Needs, rows: list[Row]) -> None:
        read = [row for row in rows if row.error is None]
        made = list(map(self._row, read))
        good = [row.fields for row in made if row.error is None]
        names = {name for fields in good for name in fields}
        lacking = [need[0] for need in needs if not names & set(need)]
        if not read or not lacking:
            return
        source = os.fspath(path)
        problem = next((row.error for row in made if row.error is not None), None)
        if not good and problem is not None:
            raise InputError(f"{problem}: {shape_hint(read[0].fields, self.format)}")
        if self.format == "openai-batch" and "question" in lacking and self.requests is None:
            raise InputError(
                f"{source}: results of a batch do not say what was asked: give the file of its"
                " requests with `requests`"
            )
        raise InputError(f"{source}: no row has a '{lacking[0]}' in this shape: {HINT}")


def shape_hint(names: Iterable[str], shape: str | None = None) -> str:
    """The way out for rows with fields of these names, which are not ours, nor of the `shape` that
    they were read in."""
    like = format_like(names)
    return HINT if like in (None, shape) else f"{HINT}; it looks like `format` {like}"
