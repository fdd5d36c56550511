"""Fields of answers in JSON: their names, their values, and answers without some of them."""

from .editing import without
from .grading import grade_fields
from .leaves import MOST_FIELDS, Leaf, fields_of, leaves, may_have_fields, read_object
from .paths import group_of, parse_path, path_of

__all__ = [
    "MOST_FIELDS",
    "Leaf",
    "fields_of",
    "grade_fields",
    "group_of",
    "leaves",
    "may_have_fields",
    "parse_path",
    "path_of",
    "read_object",
    "without",
]
