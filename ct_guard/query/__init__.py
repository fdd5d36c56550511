"""The uncertainty query: its text, its token ids, and how answers are put before it."""

from .encoder import Encoder
from .hygiene import MAX_CHARACTERS, clean, is_refusal, screen, without_forged_query
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
    was_sanitized,
)
from .styles import RAW_STYLES, ContextStyle
from .template import LABELS, QUERY_HASH, QUERY_TEXT

__all__ = [
    "LABELS",
    "MAX_CHARACTERS",
    "MIN_ROOM",
    "QUERY_HASH",
    "QUERY_TEXT",
    "RAW_STYLES",
    "Boundary",
    "ContextStyle",
    "Encoder",
    "Query",
    "Rendered",
    "build_query",
    "clean",
    "fit",
    "is_refusal",
    "render",
    "render_context",
    "render_prompt",
    "screen",
    "was_sanitized",
    "without_forged_query",
]
