"""Scoring files of answers."""

from .score import RESULTS, Preview, Summary, score_file

__all__ = ["RESULTS", "Preview", "Summary", "score_file"]
