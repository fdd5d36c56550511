"""The uncertainty query: its text, its token ids, and how answers are put before it."""

from .encoder import Encoder
from .fields import FieldQuery, build_field_query, shown_value
from .filler import without_filler
from .forgery import forgery_in
from .hygiene import MOST_MARKS, clean, is_refusal
from .reading import (
    MAX_CHARACTERS,
    Screened,
    forgery_of,
    read_answer,
    read_turns,
    screen,
    screened,
    was_sanitized,
)
from .render import (
    MIN_ROOM,
    Boundary,
    Query,
    Rendered,
    build_query,
    fit,
    render,
    render_context,
    render_prompt,
)
from .styles import RAW_STYLES, ContextStyle
from .template import FIELD_QUERY_HASH, LABELS, QUERY_HASH, QUERY_TEXT, TEMPLATE_DATE
from .thoughts import without_thoughts

__all__ = [
    "FIELD_QUERY_HASH",
    "LABELS",
    "MAX_CHARACTERS",
    "MIN_ROOM",
    "MOST_MARKS",
    "QUERY_HASH",
    "QUERY_TEXT",
    "RAW_STYLES",
    "TEMPLATE_DATE",
    "Boundary",
    "ContextStyle",
    "Encoder",
    "FieldQuery",
    "Query",
    "Rendered",
    "Screened",
    "build_field_query",
    "build_query",
    "clean",
    "fit",
    "forgery_in",
    "forgery_of",
    "is_refusal",
    "read_answer",
    "read_turns",
    "render",
    "render_context",
    "render_prompt",
    "screen",
    "screened",
    "shown_value",
    "was_sanitized",
    "without_filler",
    "without_thoughts",
]
