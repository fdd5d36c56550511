"""Match after normalisation: the default for short answers."""

import re

from ct_guard.datasets.questions import Question

from .base import Grade, GradesAlone
from .normalise import plain_letters, words

__all__ = ["Normalised"]

_TELLING = (
    re.compile("[$\u20ac\u00a3\u00a5\u20b9]"),
    re.compile("(?<![<>])[<>\u2264\u2265\u2260](?![<>])"),
)
"""Signs that are no words, and yet tell texts apart where both have some: money, and relations."""


class Normalised(GradesAlone):
    """Right where answer and a gold answer are the same but for case, articles, punctuation,
    accents and the spelling of numbers. Another currency or relation (x < y, x > y) is not the
    same. Texts without any word are compared as they are."""

    name = "normalised"

    def grade_one(self, answer: str, question: Question) -> Grade:
        said = words(answer)
        for gold in question.gold:
            wanted = words(gold)
            same = plain_letters(said) == plain_letters(wanted) and _signs_agree(answer, gold)
            if same if said and wanted else answer.strip() == gold.strip():
                return Grade(True, f"is {gold!r}, normalised")
        return Grade(False, "is none of the gold answers, normalised")


def _signs_agree(answer: str, gold: str) -> bool:
    pairs = ((sign.findall(answer), sign.findall(gold)) for sign in _TELLING)
    return all(said == wanted for said, wanted in pairs if said and wanted)
