"""Rows of answers in files: JSONL, CSV and Parquet, read and written one row at a time."""

from .parsing import Rejected, correct_of, question_answer
from .reading import count_rows, open_rows
from .rows import Row
from .writing import RowWriter, check_output, open_writer

__all__ = [
    "Rejected",
    "Row",
    "RowWriter",
    "check_output",
    "correct_of",
    "count_rows",
    "open_rows",
    "open_writer",
    "question_answer",
]
