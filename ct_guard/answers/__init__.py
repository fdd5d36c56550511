"""Runs over files of answers: scoring, and grading."""

from .grade import GRADED, GradeSummary, grade_file
from .score import RESULTS, Preview, Summary, score_file

__all__ = [
    "GRADED",
    "RESULTS",
    "GradeSummary",
    "Preview",
    "Summary",
    "grade_file",
    "score_file",
]
