"""The same number, within a tolerance."""

import math
import re
from collections import deque
from decimal import Decimal

from ct_guard.datasets.questions import Question
from ct_guard.errors import UsageError

from .base import Grade, GradesAlone
from .normalise import normalise

__all__ = ["Numeric", "last_number"]

_NUMBER = re.compile(
    r"(?P<number>(?:(?<![\w.)])[-+])?"
    r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+|(?=\.[0-9]))"
    r"(?:\.[0-9]+)?"
    r"(?:[eE][-+]?[0-9]{1,3}(?!\w))?)"
    r"(?:\s?/\s?(?P<divisor>0*[1-9][0-9]*)(?![\w/.]))?"
)


class Numeric(GradesAlone):
    """Right where the last number of the answer is a gold answer's, or differs by at most a share
    `tolerance` of it. Reads 1,000, decimals, 1e-3, 3/4 and number words to ninety-nine. Where no
    gold answer has a number, the verdict is unclear."""

    name = "numeric"

    def __init__(self, tolerance: float = 0.0) -> None:
        if not 0.0 <= tolerance < 1.0:
            raise UsageError(f"the tolerance is a share of the gold, in [0, 1), not {tolerance}")
        self.tolerance = tolerance
        self.settings = {"tolerance": tolerance}

    def grade_one(self, answer: str, question: Question) -> Grade:
        golds = [number for gold in question.gold if (number := last_number(gold)) is not None]
        if not golds:
            return Grade(None, "no gold answer is a number")
        said = last_number(answer)
        if said is None:
            return Grade(False, "names no number")
        correct = any(self._same(said, gold) for gold in golds)
        return Grade(correct, f"says {said:g}, gold {' or '.join(f'{gold:g}' for gold in golds)}")

    def _same(self, said: Decimal, gold: Decimal) -> bool:
        if said == gold:
            return True
        room = self.tolerance * abs(float(gold))
        return room > 0 and math.isclose(float(said), float(gold), rel_tol=0.0, abs_tol=room)


def last_number(text: str) -> Decimal | None:
    """The last number in `text`, in digits or else in words; None where there is none."""
    in_digits = _last_in_digits(text.replace("\u2212", "-"))
    return in_digits if in_digits is not None else _last_in_digits(normalise(text))


def _last_in_digits(text: str) -> Decimal | None:
    found = deque(_NUMBER.finditer(text), maxlen=1)
    if not found:
        return None
    number = Decimal(found[0]["number"].replace(",", ""))
    return number / Decimal(found[0]["divisor"]) if found[0]["divisor"] else number
