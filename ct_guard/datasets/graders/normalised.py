"""Match after normalisation: the default for short answers."""

import re
import unicodedata

from ct_guard.datasets.questions import Question

from .base import Grade, GradesAlone
from .normalise import plain_letters, words

__all__ = ["Normalised"]

_MONEY = re.compile("[$\u20ac\u00a3\u00a5\u20b9]")
_OPERATOR = re.compile(r"[-+*/^!%]")
_ONE_SIGN = str.maketrans(
    {
        "\u2212": "-",
        "\u2013": "-",
        "\u00d7": "*",
        "\u00b7": "*",
        "\u2217": "*",
        "\u00f7": "/",
        "~": " ",
    }
)
_ALWAYS = re.compile("[\u00ac\u00b1]")
"""Signs that change what they stand before."""


class Normalised(GradesAlone):
    """Right where answer and a gold answer are the same but for case, articles, punctuation,
    accents and the spelling of numbers. Another currency, relation or operation (x < y and x > y,
    x + 2 and x - 2) is not the same. Texts without any word are compared as they are."""

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
    """Signs are no words, and yet tell texts apart where both have some: of money, and of
    mathematics. A dash or a slash is one of the latter only beside another that is."""
    if _ALWAYS.findall(answer) != _ALWAYS.findall(gold):
        return False
    money = _MONEY.findall(answer), _MONEY.findall(gold)
    signs = _signs(answer), _signs(gold)
    certain = any(map(_is_mathematical, signs[0] + signs[1]))
    return all(
        said == wanted
        for said, wanted in (money, signs if certain else ("", ""))
        if said and wanted
    )


def _signs(text: str) -> str:
    """Operators and relations, in one spelling each; << and >> are quotes."""
    text = text.translate(_ONE_SIGN).replace("<<", "").replace(">>", "")
    return "".join(sign for sign in text if _OPERATOR.match(sign) or _is_mathematical(sign))


def _is_mathematical(sign: str) -> bool:
    return sign in "*^" or unicodedata.category(sign) == "Sm"
