"""Any other set, by the names of its fields: of the hub, or a file."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from ct_guard.errors import InputError, UsageError
from ct_guard.files import open_rows

from .load import load_rows
from .spec import Item, Rendering, SetSpec, context, target

__all__ = ["rows_by_fields"]

_SPEC = SetSpec(
    "fields", None, lambda row, seed: None, open="Question: {question}",
    choice="Question:\n{question}",
)  # fmt: skip


def rows_by_fields(
    source: str,
    *,
    question: str,
    answer: str,
    choices: str | None = None,
    limit: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Rows as `question_rows` gives them, of a file (.jsonl, .csv, .parquet), a folder, or a set of
    the hub (`owner/name:split`, `owner/name:config:split`).

    Fields may lie inside others (`choices.text`). An answer is a text or a list of which each is
    right; with `choices`, the text of one of them, its letter, or its number from 0.

    Raises InputError that names row and field.
    """
    rows = _records(source)
    for number, row in islice(rows, limit):
        where = f"{source}: row {number}"
        asked = _value(row, question, where)
        given = _value(row, answer, where)
        result: dict[str, Any] = {"id": f"{source}:{number}"}
        rendering: Rendering = "open" if choices is None else "choice"
        if choices is None:
            item = Item({"question": str(asked)})
            gold = [str(each) for each in given] if isinstance(given, list) else str(given)
            result["gold"] = gold
        else:
            listed = _value(row, choices, where)
            if not isinstance(listed, list) or not listed:
                raise InputError(f"{where}: field '{choices}' must be a list of choices")
            texts = tuple(str(each) for each in listed)
            right = _index(given, texts, f"{where}: field '{answer}'")
            item = Item({"question": str(asked)}, texts, right)
            result |= {"gold": target(item, rendering), "choices": list(texts)}
        result["question"] = context(_SPEC, item, rendering)
        result["dataset"] = source
        yield result


def _records(source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if Path(source).is_file():
        for row in open_rows(source, ()):
            if row.error is not None:
                raise InputError(row.error)
            yield row.number, row.fields
        return
    name, *rest = source.split(":")
    if not rest or len(rest) > 2:
        raise UsageError(
            f"{source!r} is no file: of a folder or a set of the hub, give NAME:SPLIT or"
            " NAME:CONFIG:SPLIT"
        )
    config = rest[0] if len(rest) == 2 else None
    yield from enumerate(dict(row) for row in load_rows(name, rest[-1], config=config))


def _value(row: dict[str, Any], field: str, where: str) -> Any:
    value: Any = row
    for name in [field] if field in row else field.split("."):
        if not isinstance(value, dict) or name not in value:
            have = ", ".join(row)
            raise InputError(f"{where} has no field '{field}', it has {have}: name another")
        value = value[name]
    if value is None:
        raise InputError(f"{where}: field '{field}' is empty")
    return value


def _index(given: Any, choices: Iterable[str], where: str) -> int:
    texts = list(choices)
    if isinstance(given, int) and not isinstance(given, bool):
        index = given
    elif str(given) in texts:
        index = texts.index(str(given))
    elif len(str(given)) == 1 and str(given).lower() in ascii_lowercase:
        index = ascii_lowercase.index(str(given).lower())
    else:
        index = -1
    if not 0 <= index < len(texts):
        raise InputError(
            f"{where}: {given!r} is none of the {len(texts)} choices: it must be the text of one,"
            " its letter, or its number from 0"
        )
    return index
