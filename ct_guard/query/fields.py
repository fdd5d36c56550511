"""The query about one field of an answer: its token ids, and how a path and a value get into it.

Behind the answer stands a preamble that is the same for all fields, so that it is read once, and a
line that names one of them. What the model wrote, path and value, is encoded apart with special
tokens off, between pieces of template: nothing in it can become template.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ct_guard.records import Message

from .encoder import Encoder
from .hygiene import clean
from .render import Query
from .styles import ContextStyle, frame
from .template import FIELD_EMPTY, FIELD_FILLED, FIELD_PREAMBLE

__all__ = ["MOST_VALUE_TOKENS", "FieldQuery", "build_field_query", "shown_value"]

MOST_VALUE_TOKENS = 64
"""Of a value, in its query; of a longer one the middle is left out there. The answer has it all."""
_MOST_PATH_TOKENS = 64
_MOST_CHARACTERS = 2_000
_GAP = " ..."
_PLAIN = re.compile(r"[^\W\d_](?:[^\n\t\"\\:{}\[\]]*[^\s\"\\:{}\[\],])?")
"""Text that nobody takes for another kind of value, or for several."""
_WORDS = ("true", "false", "null", "none", "nan", "infinity")


@dataclass(frozen=True)
class FieldQuery:
    """The query of one tokenizer and style, as constant ids."""

    label_ids: tuple[int, ...]
    """(no, yes)."""
    filled: tuple[tuple[int, ...], ...]
    """Ids in front of the path (the preamble, and how a line begins), between it and the value, and
    behind that."""
    empty: tuple[tuple[int, ...], ...]
    tail: tuple[int, ...]
    """What the style puts behind every query."""

    def about(self, path: str, value: object, encoder: Encoder, *, empty: bool = False) -> Query:
        """The query about one field, `value` being its JSON value; `empty`: that it has none."""
        name = _encoded(path, encoder, _MOST_PATH_TOKENS)
        if empty:
            before, between, end = self.empty
            return Query((*before, *name, *between, *end, *self.tail), self.label_ids)
        before, between, end = self.filled
        said = _encoded(shown_value(value), encoder, MOST_VALUE_TOKENS)
        return Query((*before, *name, *between, *said, *end, *self.tail), self.label_ids)

    @property
    def longest(self) -> int:
        """Most tokens of a query."""
        fixed = max(sum(map(len, self.filled)), sum(map(len, self.empty))) + len(self.tail)
        return fixed + _MOST_PATH_TOKENS + MOST_VALUE_TOKENS


def build_field_query(
    style: ContextStyle, encoder: Encoder, label_ids: Sequence[int]
) -> FieldQuery:
    """The query for this tokenizer and style; `label_ids` (no, yes) are those of the first query
    (`build_query`)."""
    probe = (Message(role="user", content="?"),)
    filled, empty = (
        tuple(tuple(encoder.encode(piece)) for piece in pieces)
        for pieces in (
            (FIELD_PREAMBLE + FIELD_FILLED[0], *FIELD_FILLED[1:]),
            (FIELD_PREAMBLE + FIELD_EMPTY[0], *FIELD_EMPTY[1:]),
        )
    )
    return FieldQuery(
        label_ids=tuple(label_ids),
        filled=filled,
        empty=empty,
        tail=frame(style, probe, encoder, "").query,
    )


def shown_value(value: object) -> str:
    """A JSON value as the query names it: text without quotes where it can be nothing but text in
    one line, as a name; else JSON, so that the text "12" is told from the number 12."""
    if isinstance(value, str):
        text = clean(value[:_MOST_CHARACTERS])[0]
        plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS
        return text if plain else json.dumps(text, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)[:_MOST_CHARACTERS]


def _encoded(text: str, encoder: Encoder, most: int) -> tuple[int, ...]:
    """Ids of a text behind a blank; of a long one its ends."""
    ids = tuple(encoder.encode(f" {text}"))
    if len(ids) <= most:
        return ids
    gap = tuple(encoder.encode(_GAP))
    kept = most - len(gap)
    return (*ids[: kept - kept // 2], *gap, *ids[len(ids) - kept // 2 :])
