"""Match after normalisation: the default for short answers."""

from ct_guard.datasets.questions import Question

from .base import Grade, GradesAlone
from .normalise import plain_letters, words

__all__ = ["Normalised"]


class Normalised(GradesAlone):
    """Right where answer and a gold answer are the same but for case, articles, punctuation,
    accents and the spelling of numbers. Texts without any word are compared as they are."""

    name = "normalised"

    def grade_one(self, answer: str, question: Question) -> Grade:
        said = words(answer)
        for gold in question.gold:
            wanted = words(gold)
            same = plain_letters(said) == plain_letters(wanted)
            if same if said and wanted else answer.strip() == gold.strip():
                return Grade(True, f"is {gold!r}, normalised")
        return Grade(False, "is none of the gold answers, normalised")
