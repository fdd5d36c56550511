"""Question sets by name, worded as in the paper's reference implementation."""

from .fields import rows_by_fields
from .load import LOCAL
from .questions import (
    MIXTURE,
    MIXTURE_ROWS,
    SEED,
    SETS,
    parts_of,
    question_rows,
    write_questions,
)
from .spec import Item, Rendering, SetSpec

__all__ = [
    "LOCAL",
    "MIXTURE",
    "MIXTURE_ROWS",
    "SEED",
    "SETS",
    "Item",
    "Rendering",
    "SetSpec",
    "parts_of",
    "question_rows",
    "rows_by_fields",
    "write_questions",
]
