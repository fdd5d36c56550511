"""Match after normalisation: the default for short answers."""

import re
import unicodedata

from ct_guard.datasets.questions import Question

from .base import Grade, GradesAlone
from .dates import day_named, sole_date
from .doubts import is_doubted
from .near import alike
from .normalise import contains, plain_letters, words

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


_FACTORIAL = re.compile(r"(?<!\w)(?:\w|[0-9]+)!")
_INTERVAL = re.compile(r"\s*([\[(])[^()\[\]]{0,200},[^()\[\]]{0,200}([\])])\s*")
_TUPLES = frozenset({("(", ")")})
_WRAPPED = re.compile(r"\\(?:boxed|fbox|text|textbf|textit|mathrm|mathbf)\s?\{([^{}]*)\}")
_DOLLARS = re.compile(r"\$([^$]+)\$")


class Normalised(GradesAlone):
    """Right where answer and a gold answer are the same but for case, articles, punctuation,
    accents and the spelling of numbers. Another currency, relation or operation (x < y and x > y,
    x + 2 and x - 2) is not the same. Texts without any word are compared as they are. A day is the
    same in every order of its parts.

    Unclear where the answer is a gold answer otherwise written (icecream, 10 kilometres), or holds
    it beside other words, undenied ("The answer is Paris.")."""

    name = "normalised"

    def grade_one(self, answer: str, question: Question) -> Grade:
        answer = _unwrapped(answer)
        said = words(answer)
        unsure = None
        for gold in map(_unwrapped, question.gold):
            wanted = words(gold)
            same = plain_letters(said) == plain_letters(wanted) and _signs_agree(answer, gold)
            if same if said and wanted else answer.strip() == gold.strip():
                if bool(_FACTORIAL.search(answer)) is bool(_FACTORIAL.search(gold)):
                    return Grade(True, f"is {gold!r}, normalised")
                unsure = Grade(None, f"is {gold!r}, but for a sign")
            elif (day := sole_date(gold)) and (named := day_named(answer, day)):
                if named[0] == "same" and sole_date(answer):
                    return Grade(True, f"is the day {gold!r}")
                if named[0] != "other":
                    unsure = Grade(None, f"names what can be {gold!r}")
            elif said and wanted and _is_near(answer, said, gold, wanted):
                unsure = Grade(None, f"is {gold!r} with more words, or otherwise written")
        return unsure or Grade(False, "is none of the gold answers, normalised")


def _is_near(answer: str, said: list[str], gold: str, wanted: list[str]) -> bool:
    """Whether an answer is a gold answer in another spelling, or holds it beside other words,
    undenied."""
    if _mathematical(answer) != _mathematical(gold) or said == wanted:
        return False
    said, wanted = plain_letters(said), plain_letters(wanted)
    return alike(said, wanted) or (contains(said, wanted) and not is_doubted(said, wanted))


def _mathematical(text: str) -> list[str]:
    return list(filter(_is_mathematical, _signs(text)))


def _unwrapped(text: str) -> str:
    """Without LaTeX's marks around what is said."""
    found = _DOLLARS.fullmatch(text.strip())
    return _WRAPPED.sub(r"\1", found[1] if found else text)


def _signs_agree(answer: str, gold: str) -> bool:
    """Signs are no words, and yet tell texts apart where both have some: of money, and of
    mathematics. A dash or a slash is one of the latter only beside another that is."""
    intervals = _INTERVAL.fullmatch(answer), _INTERVAL.fullmatch(gold)
    if all(intervals) and len({one.groups() for one in intervals if one} - _TUPLES) > 1:
        return False
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
