"""Exact match: for answers of a fixed form."""

from ct_guard.datasets.questions import Question

from .base import Grade, GradesAlone

__all__ = ["Exact"]


class Exact(GradesAlone):
    """Right where the answer is a gold answer, letter by letter, but for white space around it."""

    name = "exact"

    def grade_one(self, answer: str, question: Question) -> Grade:
        for gold in question.gold:
            if answer.strip() == gold.strip():
                return Grade(True, f"is {gold!r}")
        return Grade(False, "is none of the gold answers")
