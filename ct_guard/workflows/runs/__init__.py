"""Runs over files of answers: scoring, and grading."""

from .assessing import RESULTS
from .folder import score_folder
from .grade import GRADED, GradeSummary, grade_file
from .moved import Moved, moved
from .reading import Reading, select
from .score import score_file
from .summary import Preview, Summary

__all__ = [
    "GRADED",
    "RESULTS",
    "GradeSummary",
    "Moved",
    "Preview",
    "Reading",
    "Summary",
    "grade_file",
    "moved",
    "score_file",
    "score_folder",
    "select",
]
