"""Rows of answers in files: JSONL, CSV and Parquet, read and written one row at a time."""

from .parsing import Rejected, Told, correct_of, question_answer, texts_of, told_by
from .reading import check_beginning, columns_of, count_rows, open_rows
from .rows import Needs, Row, many_rows
from .shape import Shape
from .writing import RowWriter, check_output, open_writer

__all__ = [
    "Needs",
    "Rejected",
    "Row",
    "RowWriter",
    "Shape",
    "Told",
    "check_beginning",
    "check_output",
    "columns_of",
    "correct_of",
    "count_rows",
    "many_rows",
    "open_rows",
    "open_writer",
    "question_answer",
    "texts_of",
    "told_by",
]
