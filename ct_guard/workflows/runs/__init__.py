"""Runs over files of answers: scoring, and grading."""

from .grade import GRADED, GradeSummary, grade_file
from .moved import Moved, moved
from .score import RESULTS, Preview, Summary, score_file

__all__ = [
    "GRADED",
    "RESULTS",
    "GradeSummary",
    "Moved",
    "Preview",
    "Summary",
    "grade_file",
    "moved",
    "score_file",
]
