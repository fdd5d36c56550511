"""Numbers in English words: one hundred and five, minus seven, two and a half, three quarters."""

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from .normalise import TENS, UNITS
from .numbers import Number
from .units import UNITS_BEHIND, unit_of

__all__ = ["numbers_spelled", "spoken"]

_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth",
)  # fmt: skip
_TENTHS = ("twentieth", "thirtieth", "fortieth", "fiftieth", "sixtieth", "seventieth", "eightieth",
           "ninetieth", "hundredth")  # fmt: skip
_TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_PLACES = {name: place for place, name in enumerate(_ORDINALS, start=1)}
_PLACES |= {name: 10 * place for place, name in enumerate(_TENTHS, start=2)}
_PLACES |= {f"{name}th": UNITS[name] for name in _TEENS}
_BESIDE = re.compile(r"[ -]")
_PERCENT = re.compile(r"\s+(?:percent|per cent)\b", re.IGNORECASE)
_AND_A_HALF = re.compile(r"\b(?:an?|one)\s(\w+)\sand\sa\shalf\b", re.IGNORECASE)
_PARTS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4}
for _at, _name in enumerate(_ORDINALS[2:], start=3):
    _PARTS |= {_name: _at, f"{_name}s": _at}
_LONGEST = 40
"""Words of a number."""
_SIGNS = frozenset({"minus", "negative"})
_WORD = re.compile(r"[^\W\d_]+")


def spoken(text: str) -> str:
    """The text with "an hour and a half" as "one and a half hour"."""
    return _AND_A_HALF.sub(r"one and a half \1", text)


def numbers_spelled(text: str) -> list[Number]:
    """All of them, in order. One that is not clear has no value, and those that it can have as
    others: `third` is 3 or 1/3."""
    matches = list(_WORD.finditer(text))
    words = [match[0].lower() for match in matches]
    found: list[Number] = []
    at = 0
    while at < len(words):
        read = _Run(words[at : at + _LONGEST])
        if read.number():
            start, end = matches[at].start(), matches[at + read.at - 1].end()
            share = {read.value / 100} if read.value and _PERCENT.match(text, end) else set()
            unit = unit_of(UNITS_BEHIND.match(text, end))
            number = Number(read.value, read.others | share, start, end, unit)
            if found and _BESIDE.fullmatch(text, found[-1].end, start):
                number = _together(found.pop(), number)
            found.append(number)
        at += max(read.at, 1)
    return found


def _together(one: Number, other: Number) -> Number:
    """Two numbers side by side, which are one as nineteen eighty-four, or a row of them."""
    pairs = [(first, second) for first in one.meanings for second in other.meanings]
    joined = (100 * first + second for first, second in pairs if 0 < first < 100 > second >= 0)
    return replace(other, start=one.start).unsure([*one.meanings, *joined])


@dataclass
class _Run:
    """The number that a list of words begins with, if it does: `at` of them belong to it."""

    words: list[str]
    at: int = 0
    value: Decimal | None = None
    others: frozenset[Decimal] = frozenset()

    def number(self) -> bool:
        sign = -1 if self._next() in _SIGNS else 1
        self.at += sign < 0
        if not (self._whole() or self._part(Decimal(1)) or self._ordinal()):
            self.at = 0
            return False
        if self.value is not None:
            self.value *= sign
        return True

    def _next(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.words[at] if at < len(self.words) else ""

    def _whole(self) -> bool:
        total, current, begun = 0, 0, self.at
        if self._next() in ("a", "an") and self._next(1) in ("hundred", "dozen", *_SCALES):
            self.at, current = self.at + 1, 1
        while True:
            skip = self._next() == "and" and self.at > begun and current % 100 == 0
            word = self._next(skip)
            small = UNITS.get(word, TENS.get(word))
            if small is not None and _fits(current, small):
                current += small
            elif not skip and word in ("hundred", "dozen") and self.at > begun:
                current = (current or 1) * (100 if word == "hundred" else 12)
            elif not skip and word in _SCALES and self.at > begun:
                total, current = total + (current or 1) * _SCALES[word], 0
            else:
                break
            self.at += 1 + skip
        if self.at == begun:
            return False
        self.value = Decimal(total + current)
        place = _PLACES.get(self._next(), 0)
        if place and _fits(current, place):
            self.at += 1
            self.value, self.others = (
                None,
                frozenset({Decimal(total + current), Decimal(total + current + place)}),
            )
            return True
        self._fraction()
        if self._next() in _SCALES and self.value % 1:
            self.value *= _SCALES[self._next()]
            self.at += 1
        return True

    def _fraction(self) -> None:
        """Behind a whole number: a half with it, parts of it, or decimals."""
        whole = self.value or Decimal(0)
        if self._next() == "and" and self._next(1) in ("a", "one") and self._next(2) in _PARTS:
            self.at += 3
            self.value = whole + 1 / Decimal(_PARTS[self.words[self.at - 1]])
        elif self._next() in _PARTS:
            self._part(whole)
        elif self._next() == "point" and UNITS.get(self._next(1), 10) < 10:
            self.at += 1
            digits = ""
            while (digit := UNITS.get(self._next(), 10)) < 10:
                digits, self.at = digits + str(digit), self.at + 1
            self.value = Decimal(f"{whole}.{digits}")

    def _part(self, count: Decimal) -> bool:
        behind = int(self.at == 0 and self._next() in ("a", "one"))
        part = self._next(behind)
        if part not in _PARTS or (part in _ORDINALS and not behind and self.at == 0):
            return False
        self.at += 1 + behind
        self.value = count / _PARTS[part]
        of = int(self._next() == "of")
        unit = self._next(of + 1) if self._next(of) in ("a", "an") else ""
        if unit in ("dozen", "hundred", *_SCALES):
            self.value *= {"dozen": 12, "hundred": 100, **_SCALES}[unit]
            self.at += of + 2
        return True

    def _ordinal(self) -> bool:
        if self._next() not in _PLACES:
            return False
        place = Decimal(_PLACES[self.words[self.at]])
        self.at += 1
        self.others = frozenset({place, 1 / place})
        return True


def _fits(before: int, small: int) -> bool:
    """Whether a word for a number goes on with what stands before it, as in twenty-one, and does
    not begin another."""
    if before == 0:
        return True
    return before % 100 == 0 if small > 9 else before % 10 == 0 and before % 100 != 10 and small > 0
