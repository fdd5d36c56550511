"""Graders: from an answer and its gold answers to right, wrong or unclear."""

from collections.abc import Callable

from .base import Grade, Grader, GradesAlone
from .exact import Exact
from .fields import ByField
from .judge import Judge
from .multiple_choice import MultipleChoice
from .normalised import Normalised
from .numeric import Numeric
from .substring import Substring

__all__ = [
    "GRADERS",
    "ByField",
    "Exact",
    "Grade",
    "Grader",
    "GradesAlone",
    "Judge",
    "MultipleChoice",
    "Normalised",
    "Numeric",
    "Substring",
]

GRADERS: dict[str, Callable[[], Grader]] = {
    "exact": Exact,
    "normalised": Normalised,
    "substring": Substring,
    "multiple_choice": MultipleChoice,
    "numeric": Numeric,
    "fields": ByField,
}
"""Graders that need no model, by name; `Judge` asks one."""
