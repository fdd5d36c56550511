"""From the name of a set to questions with gold answers, as rows that `ct-guard grade` reads."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ct_guard.errors import InputError, OutputExistsError, UsageError

from .evaluation import EVALUATION
from .load import load_spec
from .paper import PAPER
from .spec import Fields, Item, Rendering, SetSpec, context, few_shot, target

__all__ = [
    "MIXTURE",
    "MIXTURE_ROWS",
    "SEED",
    "SETS",
    "Part",
    "parts_of",
    "question_rows",
    "write_questions",
]

SETS: dict[str, SetSpec] = {spec.name: spec for spec in (*PAPER, *EVALUATION)}
MIXTURE = "mixture:paper"
MIXTURE_ROWS = 20_000
SEED = 137
"""Of the reference's runs: the order of SciQ's choices, and which examples are drawn."""
NOT_OPEN = ("hellaswag",)
"""Left out of the open-ended mixture."""


@dataclass(frozen=True)
class Part:
    """A split of a set, perhaps of one subject."""

    spec: SetSpec
    split: str
    subject: str | None = None

    @property
    def name(self) -> str:
        return ":".join(filter(None, (self.spec.name, self.subject, self.split)))


def parts_of(name: str, rendering: Rendering) -> list[Part]:
    """The parts that `name` means: `sciq:train`, `mmlu:anatomy:test`, `mmlu:test` (every subject),
    `mixture:paper`. Raises UsageError that lists what there is."""
    if name == MIXTURE:
        specs = sorted(PAPER, key=lambda spec: spec.name)
        return [
            Part(spec, "train")
            for spec in specs
            if "train" in spec.splits and not (rendering == "open" and spec.name in NOT_OPEN)
        ]
    first, *rest = name.split(":")
    if first not in SETS:
        raise UsageError(
            f"no question set {first!r}: there are {', '.join(SETS)}, {MIXTURE}; any other set"
            " needs `question_field` and `answer_field`"
        )
    spec = SETS[first]
    if rendering == "choice" and spec.choice is None:
        raise UsageError(f"{first} has no choices: leave `rendering` choice out")
    splits = ", ".join(spec.splits)
    subject = rest.pop(0) if spec.subjects and len(rest) == 2 else None
    if len(rest) != 1 or rest[0] not in spec.splits:
        shape = f"{first}:SUBJECT:SPLIT or {first}:SPLIT" if spec.subjects else f"{first}:SPLIT"
        raise UsageError(f"{name!r}: give {shape}; the labelled splits of {first} are {splits}")
    if subject is not None and subject not in spec.subjects:
        raise UsageError(f"{first} has no subject {subject!r}: {', '.join(spec.subjects)}")
    if spec.subjects and subject is None:
        return [Part(spec, rest[0], each) for each in spec.subjects]
    return [Part(spec, rest[0], subject)]


def question_rows(
    name: str,
    rendering: Rendering,
    *,
    limit: int | None = None,
    shots: int | None = None,
    seed: int = SEED,
    folder: Path | None = None,
    mixture_rows: int = MIXTURE_ROWS,
    on_part: Callable[[str], None] = lambda name: None,
) -> Iterator[dict[str, Any]]:
    """Rows with `id`, `question`, `gold`, `dataset`, and `choices` where they are asked.

    Args:
        name: see `parts_of`. Of `mixture:paper` every set with a training split gives its first
            min(mixture_rows // number of these sets, size) rows.
        rendering: open-ended, or multiple choice (then `gold` is a letter).
        limit: most rows in all.
        shots: examples before each question; None: what the reference has in this place.
        seed: row i of a part is drawn with seed + i.
        folder: of local copies, see `load_spec`.
        mixture_rows: of the whole mixture.
        on_part: is told the name of each part before it is loaded.

    Raises:
        UsageError: no such set, split or subject.
        InputError: a set cannot be loaded, lacks a field, or has no labelled row.
    """
    parts = parts_of(name, rendering)
    most = mixture_rows // len(parts) if name == MIXTURE else None

    def rows() -> Iterator[dict[str, Any]]:
        for part in parts:
            on_part(part.name)
            yield from islice(_rows_of(part, rendering, shots, seed, folder), most)

    return islice(rows(), limit)


def _rows_of(
    part: Part, rendering: Rendering, shots: int | None, seed: int, folder: Path | None
) -> Iterator[dict[str, Any]]:
    spec = part.spec
    count = spec.shots.get(part.split, 0) if shots is None else shots
    examples: Sequence[Item] = ()
    if count:
        loaded = load_spec(spec, spec.shots_from, part.subject, folder)
        examples = [item for _, item in _items(spec, loaded, seed, f"{spec.name} examples")]
    label = (part.subject or "").replace("_", " ").capitalize()
    found = False
    loaded = load_spec(spec, spec.splits[part.split], part.subject, folder)
    for index, (number, item) in enumerate(_items(spec, loaded, seed, part.name)):
        found = True
        before = few_shot(spec, examples, rendering, shots=count, seed=seed + index, subject=label)
        answer = target(item, rendering)
        row: dict[str, Any] = {
            "id": f"{part.name}:{number}",
            "question": (before + context(spec, item, rendering)).strip(),
            "gold": answer if item.gold is None else item.gold,
            "dataset": spec.name,
        }
        if rendering == "choice":
            row["choices"] = list(item.choices)
        yield row
    if not found:
        raise InputError(f"{part.name}: no row has a label: take another split")


def _items(
    spec: SetSpec, rows: Iterable[Fields], seed: int, where: str
) -> Iterator[tuple[int, Item]]:
    """Position in the set, and the row read; rows that are left out do not count for the seed."""
    kept = 0
    for number, row in enumerate(rows):
        try:
            item = spec.read(row, seed + kept)
        except KeyError as error:
            raise InputError(
                f"{where}: row {number} has no field {error}, it has {', '.join(row)}: this is"
                f" not the set {spec.name} as it is on the hub"
            ) from None
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{where}: row {number} cannot be read: {error}") from None
        if item is not None:
            kept += 1
            yield number, item


def write_questions(rows: Iterable[dict[str, Any]], path: Path, *, replace: bool = True) -> int:
    """Write rows as JSONL, whole or not at all, and return how many. A file that already holds
    exactly these rows stays as it is, so that an interrupted run over it can go on.

    Raises InputError where it cannot be written, OutputExistsError where it holds other rows and
    may not be replaced.
    """
    count = 0
    building = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with building.open("w", encoding="utf-8") as stream:
            for row in rows:
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
        if not path.exists() or path.read_bytes() != building.read_bytes():
            if path.exists() and not replace:
                raise OutputExistsError(
                    f"{path}: an interrupted run began with these questions, and this command asks"
                    " for others: go on with its own command and `resume`, or begin anew with"
                    " `overwrite`"
                )
            building.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        building.unlink(missing_ok=True)
    return count
