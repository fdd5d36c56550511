"""The same number, within a tolerance."""

import math
import re
from decimal import Decimal

from ct_guard.datasets.questions import Question
from ct_guard.errors import UsageError

from .base import Grade, GradesAlone
from .claims import claimed
from .dates import day_named, sole_date
from .denials import refuted, taken_back, undenied
from .numbers import Number, numbers_in, plain
from .numerals import numerals_in
from .spelled import numbers_spelled, spoken

__all__ = ["Numeric", "last_number"]

_MARKED = (
    re.compile(r"####([^\n]*)"),
    re.compile(r"\\(?:boxed|fbox)\s?\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"),
    re.compile(r"(?i:<answer>)(.{0,2000}?)(?i:</answer>)", re.DOTALL),
    re.compile(r"(?i:final answer)\W{0,8}?(?i:is)?[\s:*]{0,6}([^\n]{0,200}?)(?:\.\s|\n|\Z)"),
)
"""Where an answer says itself which number is its answer, the clearest way first."""
_ANSWER_IS = re.compile(
    r"(?i:\banswer)\W{0,8}?(?:(?i:is)|(?<!!)[:=])[\s:*]{0,6}"
    r"([^\n]{0,200}?)(?:\.\s|\n|\Z|[,;(]\s|\b(?i:because|since|as|so)\b)"
)
"""The same, said in passing: the last time counts, and its reasons do not."""
_WRONG = re.compile(r"\b(?:wrong|incorrect|false|mistaken|not(?: the)?)\s*\Z", re.IGNORECASE)
_ASIDE = re.compile(
    r"(?<![\^*/+\u00d7-])(?<![*/+\u00d7-]\s)"
    r"(?:(?<![0-9])\([^()]*\)|(?<=[0-9])\((?![0-9., ]+[-+*/^][0-9., ]+\))[^()]*\)"
    r"|\[[^\[\]]*\])[\s.]*\Z"
    r"|\n[^\w\n]{0,8}(?i:confidence(?:\s(?:level|score))?|certainty|sources?|references?)"
    r"\s?[:=][^\n]*\Z"
)
"""What is no part of an answer at its end: brackets, a reference, how sure it is."""
_REACH = 24
"""Characters before a mark within which it is said to be a wrong one."""
_ROUNDED = Decimal("1e-25")
"""Share by which thirds and their like differ, worked out in two ways."""
_FAR = 200
"""Characters before a number within which it is concluded."""
_WORKED = re.compile(r"[0-9)}]\s?(?:=|\\approx|\u2248)|=\s?[$\u20ac\u00a3]?[0-9]|>>")
_CONCLUDES = re.compile(
    r"\b(?:so|thus|hence|therefore|total(?:s|ing)?|altogether|in all|makes?|made|making"
    r"|leaves?|leaving|left|gives?|giving|gets?|equals?|comes? to|adds? up|sums?|result|answer"
    r"|consequently|instead)\b"
    r"|(?<![.!?])\s(?:is|are|was|were)\s[^\w\n]{0,4}\Z",
    re.IGNORECASE,
)
"""Between two numbers, of which the second one then is the outcome."""
_BEGINS = re.compile(
    r"\s*[^\w\n]{0,8}[0-9][0-9,.]*(?:\.\s|\n|(?:\s?[^\W\d_]+)?(?:[,;:]|\s?[-=\u2013\u2014])\s(?!or\b))"
)
_LISTED = re.compile(r"(?:^|\n)\s*[^\w\n]{0,4}2[.)]\s")


_TOTAL = re.compile(r"\b(?:total|sum|altogether|overall|answer)\b", re.IGNORECASE)
_NONE = re.compile(r"\b(?:no|never|not any|without)\b|n['\u2019]t any\b", re.IGNORECASE)
_ITEM = re.compile(r"[ \t]*(?:[-*+|\u2022]|[0-9]{1,2}[.)])\s")


class Numeric(GradesAlone):
    """Right where the answer's number is a gold answer's, or differs by at most a share `tolerance`
    of it: the number behind a mark (`####`, `\\boxed{}`, "final answer", "the answer is"), else the
    last one that is not denied, but for an aside in brackets. A clear expression (2^{10} - 1) is
    worked out. Reads 1,000, 1 000, decimals, 1e-3, 3 x 10^4, 3/4, 1 1/2, 2 million, 0x1F and
    English words; of two usual units of a quantity, what they come to.

    Unclear where no gold answer has a number, where marks disagree, where the number can also be
    read as the gold answer (1.000,50 and 1,5, a percentage as a share, a dash as a minus, (500) as
    a loss, other numerals than digits, a number that begins the answer beside the last one), where
    it is one of several in the gold answer or of another quantity, where the answer says that it
    is one of two, a bound, a part, a span or a margin (`claims`), where it takes it back, where it
    only says more of another ("42 students in 7 rows") or a gold number stands in prose before it
    that is no way to it, and where it belongs to what is not worked out (7!, f(7), 7 squared).
    """

    name = "numeric"

    def __init__(self, tolerance: float = 0.0) -> None:
        if not 0.0 <= tolerance < 1.0:
            raise UsageError(f"the tolerance is a share of the gold, in [0, 1), not {tolerance}")
        self.tolerance = tolerance
        self.settings = {"tolerance": tolerance}

    def grade_one(self, answer: str, question: Question) -> Grade:
        read = [(gold, numbers[-1]) for gold in question.gold if (numbers := _said(gold))]
        golds = [number for _, number in read]
        if not golds:
            return Grade(None, "no gold answer is a number")
        said = _said(answer)
        if not said:
            if _NONE.search(answer) and any(0 in one.meanings for one in golds):
                return Grade(None, "says that there are none, or does not know")
            return Grade(False, "names no number")
        wanted = " or ".join(map(str, golds))
        if len({one.value for one in said}) > 1:
            return Grade(None, f"says {' and '.join(map(str, said))}, gold {wanted}")
        number = said[0]
        days = {gold: day for gold in question.gold if (day := _day(answer, gold))}
        if "same" in days.values():
            return Grade(True, f"names the day of the gold {wanted}")
        read = [(gold, one) for gold, one in read if days.get(gold) != "other"]
        golds = [one for _, one in read]
        if not read:
            return Grade(False, f"names another day than the gold {wanted}")
        if answer.strip() in map(str.strip, question.gold):
            return Grade(True, f"is the gold {wanted}")
        same = [
            gold
            for gold, one in read
            if self._is_same(number.measured_in(one.unit).value, one.value)
            or (one.value is None and number.written and number.written == one.written)
        ]
        if same and all(_lacks_a_part(answer, gold) for gold in same):
            return Grade(None, f"says {number}, of several numbers in the gold answer")
        if same and _is_a_part(answer):
            return Grade(None, f"says {number} as a part of a total, gold {wanted}")
        if same:
            return Grade(True, f"says {number}, gold {wanted}")
        if "maybe" in days.values():
            return Grade(None, f"names a part of the day, gold {wanted}")
        if any(self._can_be(number, gold) for gold in golds) or self._is_first(answer, golds):
            return Grade(None, f"says {number}, which can be read otherwise, gold {wanted}")
        if number.is_open:
            return Grade(None, f"says what is not worked out, gold {wanted}")
        whole = [number for gold, number in read if not _lacks_a_part(answer, gold)]
        if self._is_said_before(answer, whole):
            return Grade(None, f"says {number} last, but gold {wanted}, too")
        return Grade(False, f"says {number}, gold {wanted}")

    def _is_first(self, answer: str, golds: list[Number]) -> bool:
        """Whether the answer begins with a gold number as a sentence, and not as the first point of
        a list."""
        if _BEGINS.match(answer) is None or _LISTED.search(answer):
            return False
        first = next(iter(numbers_in(plain(answer))), None)
        return first is not None and any(self._is_same(first.value, gold.value) for gold in golds)

    def _is_said_before(self, answer: str, golds: list[Number]) -> bool:
        """Whether prose names a gold number, and then others beside the point: no mark says which
        is the answer, and the last one is no outcome."""
        if _is_marked(answer):
            return False
        text = plain(answer)
        numbers = list(undenied(text, numbers_in(text)))
        if not numbers or _is_outcome(text, numbers):
            return False
        return any(
            self._is_same(one.measured_in(gold.unit).value, gold.value)
            for one in (*numbers[1:], *undenied(text, numbers_spelled(text)))
            for gold in golds
        )

    def _can_be(self, said: Number, gold: Number) -> bool:
        meanings = said.measured_in(gold.unit).meanings
        if said.unit and not gold.unit and said.value is not None and gold.value is not None:
            # the question may ask for another unit
            meanings = meanings.union(said.value * factor for factor in said.unit.factors())
        return any(self._is_same(one, other) for one in meanings for other in gold.meanings)

    def _is_same(self, said: Decimal | None, gold: Decimal | None) -> bool:
        if said is None or gold is None:
            return False
        if abs(said - gold) <= abs(gold) * _ROUNDED:
            return True
        room = self.tolerance * abs(float(gold))
        return room > 0 and math.isclose(float(said), float(gold), rel_tol=0.0, abs_tol=room)


def last_number(text: str) -> Decimal | None:
    """The number that a text gives as its answer, in digits or else in words; None where there is
    none, or it is not clear which."""
    said = _said(text)
    return said[0].value if len({number.value for number in said}) == 1 else None


def _is_marked(text: str) -> bool:
    return any(_behind(mark, text) for mark in (*_MARKED, _ANSWER_IS))


def _is_outcome(text: str, numbers: list[Number]) -> bool:
    """Whether the first of the numbers, the last of the text, follows from those before it: it is
    worked out, concluded, or alone on the last of several lines."""
    start = numbers[0].start
    line = text.rfind("\n", 0, start) + 1
    before = max([0, *(one.end for one in numbers[1:2])])
    if _is_a_part(text):
        return False
    if _WORKED.search(text) or (line and before <= line):
        return True
    return _CONCLUDES.search(text, max(before, start - _FAR), start) is not None or bool(
        taken_back(text[before:start])
    )


def _day(answer: str, gold: str) -> str | None:
    """What the days that an answer names are to the one that a gold answer is, see `day_named`."""
    date = sole_date(gold)
    named = day_named(answer, date) if date else None
    return named[0] if named else None


def _is_a_part(text: str) -> bool:
    """Whether a text ends with a point of a list, or a row, below the total of the list."""
    above, _, last = text.rstrip().rpartition("\n")
    total = _TOTAL.search(above)
    return total is not None and _ITEM.match(last) is not None and not _TOTAL.search(last)


def _said(text: str) -> list[Number]:
    """The number that a text gives as its answer; several where its marks disagree."""
    for mark in _MARKED:
        if marked := _behind(mark, text):
            return marked
    if in_passing := _behind(_ANSWER_IS, text, latest=True):
        return in_passing
    number = _last(text)
    return [number] if number else []


def _behind(mark: re.Pattern[str], text: str, *, latest: bool = False) -> list[Number]:
    """The numbers that marks say are the answer, or the latest, and one that takes it back."""
    found = [
        (one, number)
        for one in mark.finditer(text)
        if not _WRONG.search(text, max(0, one.start() - _REACH), one.start())
        and (number := _last(one[1], marked=True))
    ]
    if not found:
        return []
    last = found[-1][0]
    corrected = _last(taken_back(text[last.start(1) :]))
    said = [number for _, number in (found[-1:] if latest else found)]
    if corrected is None and refuted(text[last.end(1) :]):
        return [said[-1].unsure()]
    return [*said, corrected] if corrected else said


def _last(text: str, *, marked: bool = False) -> Number | None:
    """The last number of a text that it claims, asides left out: in digits, else in words."""
    whole = plain(text)
    aside = _ASIDE.search(whole)
    apart = _apart(whole)
    ways = (
        (whole[: aside.start()] if aside else "", numbers_in),
        (whole, numbers_in),
        (spoken(text), numbers_spelled),
        (apart, numbers_in),
        (text, numerals_in),
    )
    for read, numbers_of in ways:
        if (numbers := numbers_of(read)) and (one := claimed(read, numbers, marked=marked)):
            return one
    return None


def _lacks_a_part(answer: str, gold: str) -> bool:
    """Whether the gold answer is several numbers, as a date or 5 feet 3, which do not all stand in
    the answer."""
    if (
        "=" in gold
        or _is_one_quantity(gold)
        or any(mark.search(gold) for mark in (*_MARKED, _ANSWER_IS))
    ):
        return False
    said, parts = (
        [number.value for number in numbers_in(plain(text))]
        for text in (answer, _ASIDE.sub("", gold))
    )
    size = len(parts)
    return size > 1 and all(said[at : at + size] != parts for at in range(len(said) - size + 1))


def _is_one_quantity(text: str) -> bool:
    """Of 1 hour and 30 minutes."""
    numbers = numbers_in(plain(text))
    said = _said(text)
    return (
        len(numbers) > 1
        and len(said) == 1
        and said[0].unit is not None
        and not said[0].written
        and (said[0].start, said[0].end) == (numbers[0].start, numbers[-1].end)
    )


def _apart(text: str) -> str:
    """With a gap before numbers that stick to a word, as in "USD12"."""
    return re.sub(r"(?<=[^\W\d_])(?=[0-9])", " ", text)
