"""Match after normalisation: the default for short answers."""

from ct_guard.datasets.questions import Question

from .base import Grade, GradesAlone
from .normalise import normalise

__all__ = ["Normalised"]


class Normalised(GradesAlone):
    """Right where answer and a gold answer are the same but for case, articles, punctuation and
    the spelling of numbers. Texts without any word are compared as they are."""

    name = "normalised"

    def grade_one(self, answer: str, question: Question) -> Grade:
        said = normalise(answer) or answer.strip()
        for gold in question.gold:
            if said == (normalise(gold) or gold.strip()):
                return Grade(True, f"is {gold!r}, normalised")
        return Grade(False, "is none of the gold answers, normalised")
