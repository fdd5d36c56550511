"""Evaluating scored files."""

from .figures import Figure, evaluate, remarks
from .scored import Scored, read_scored

__all__ = ["Figure", "Scored", "evaluate", "read_scored", "remarks"]
