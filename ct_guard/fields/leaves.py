"""The fields of an answer in JSON: every leaf, or those that are asked for, there or not."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ct_guard.errors import UsageError
from ct_guard.files.untrusted_json import JsonError, parse_json
from ct_guard.records import FieldKind

from .paths import EVERY, Pattern, Step, group_of, parse_path, path_of

__all__ = ["MOST_FIELDS", "Leaf", "fields_of", "leaves", "may_have_fields", "read_object"]

MOST_FIELDS = 512
"""Of one answer that are judged."""

_FENCED = re.compile(r"```(?:json5?|JSON)?[ \t]*\n(.*?)\n?```", re.DOTALL)


@dataclass(frozen=True)
class Leaf:
    """One field."""

    steps: tuple[Step, ...]
    value: Any
    """A JSON scalar; None where there is none, and what is empty as it stands there."""
    kind: FieldKind

    @property
    def path(self) -> str:
        return path_of(self.steps)

    @property
    def group(self) -> str:
        """Its path without places in lists, by which fields are calibrated."""
        return group_of(self.steps)

    @property
    def filled(self) -> bool:
        """Whether a value stands there."""
        return self.kind not in ("empty", "missing")


def may_have_fields(answer: str) -> bool:
    """Whether an answer looks like JSON with fields; cheap, and no promise."""
    text = answer.strip()
    return text.startswith(("{", "[")) or _FENCED.search(text) is not None


def read_object(answer: str) -> Any:
    """The JSON value of an answer, also in a fence of Markdown. Raises UsageError for one that is
    no object or list."""
    text = answer.strip()
    fenced = _FENCED.search(text)
    if fenced is not None and not text.startswith(("{", "[")):
        text = fenced[1]
    try:
        value = parse_json(text)
    except JsonError as error:
        raise UsageError(f"the answer is no JSON, so that it has no fields: {error}") from error
    if not isinstance(value, dict | list):
        raise UsageError("the answer is a single JSON value, which has no fields")
    return value


def leaves(value: Any, steps: tuple[Step, ...] = ()) -> Iterator[Leaf]:
    """Every leaf of a JSON value, in the order in which they stand there."""
    children: Sequence[tuple[Step, Any]] = ()
    if isinstance(value, dict):
        children = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list):
        children = list(enumerate(value))
    for step, child in children:
        yield from leaves(child, (*steps, step))
    if not children:
        yield Leaf(steps, value, _kind(value))


def fields_of(value: Any, asked: Sequence[str] = ()) -> list[Leaf]:
    """The fields of a JSON value that are judged: every leaf, or those below the paths that are
    `asked` for, each once. A path that is not there is a field that is `missing`, also in each
    place of a list that its pattern goes through.

    Raises UsageError for a path that is none, and for more than `MOST_FIELDS` fields.
    """
    found: dict[tuple[Step, ...], Leaf] = {}
    for pattern in map(parse_path, asked):
        for leaf in _below(value, pattern, ()):
            found.setdefault(leaf.steps, leaf)
    chosen = list(found.values()) if asked else list(leaves(value))
    if len(chosen) > MOST_FIELDS:
        raise UsageError(
            f"the answer has {len(chosen):,} fields, and at most {MOST_FIELDS} are judged: name"
            " those that count"
        )
    return chosen


def _below(value: Any, pattern: Pattern, steps: tuple[Step, ...]) -> Iterator[Leaf]:
    if not pattern:
        yield from leaves(value, steps)
        return
    step, rest = pattern[0], pattern[1:]
    if step == EVERY:
        for at, each in enumerate(value if isinstance(value, list) else ()):
            yield from _below(each, rest, (*steps, at))
    elif step in (value if isinstance(value, dict) else _places(value)):
        yield from _below(value[step], rest, (*steps, step))
    else:
        plain = (*steps, *pattern)
        if EVERY not in plain:  # of a list that is not there, nobody knows the places
            yield Leaf(plain, None, "missing")


def _places(value: Any) -> range:
    return range(len(value)) if isinstance(value, list) else range(0)


def _kind(value: Any) -> FieldKind:
    match value:
        case bool():
            return "truth"
        case int() | float():
            return "number"
        case str() if value.strip():
            return "text"
    return "empty"
