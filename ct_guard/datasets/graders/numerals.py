"""Numbers in other signs than digits: Chinese and Roman numerals, and words for nothing and two."""

import re
import unicodedata
from decimal import Decimal

from .numbers import Number

__all__ = ["numerals_in"]

_CHINESE = re.compile(
    "[\u3007\u96f6\u4e00\u4e8c\u4e24\u5169\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341\u767e\u5343\u4e07\u842c\u4ebf\u5104]{1,20}"
)
_ROMAN = re.compile(r"(?=[MDCLXVI]{2})M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_WORD = re.compile(rf"\b(?:{_ROMAN.pattern}|[VX])\b")
_ROMAN_VALUES = {"M": 1000, "D": 500, "C": 100, "L": 50, "X": 10, "V": 5, "I": 1}
_WORDS = {"none": 0, "nothing": 0, "nil": 0, "nobody": 0, "once": 1,
          "twice": 2, "both": 2, "couple": 2, "pair": 2, "thrice": 3}  # fmt: skip
_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)


def numerals_in(text: str) -> list[Number]:
    """All of them, in order. None has a value, for such signs and words are more than numbers, but
    each the one that it can mean."""
    roman = unicodedata.normalize("NFKC", text).strip(" .")
    if _ROMAN.fullmatch(roman):
        return [_numeral(_roman_value(roman), 0, len(text))]
    found = [(_WORDS[one[0].lower()], one) for one in _WORD.finditer(text)]
    found += [(_chinese_value(one[0]), one) for one in _CHINESE.finditer(text)]
    found += [(_roman_value(one[0]), one) for one in _ROMAN_WORD.finditer(text) if one[0]]
    return [_numeral(value, one.start(), one.end()) for value, one in found]


def _numeral(value: int, start: int, end: int) -> Number:
    return Number(None, frozenset({Decimal(value)}), start, end)


def _roman_value(written: str) -> int:
    values = [_ROMAN_VALUES[letter] for letter in written]
    return sum(
        -one if one < behind else one for one, behind in zip(values, [*values[1:], 0], strict=True)
    )


def _chinese_value(written: str) -> int:
    """Digits one by one, or with signs for ten, a hundred, a thousand, and ten thousand of them."""
    total = section = digits = 0
    for sign in written:
        value = int(unicodedata.numeric(sign))
        if value < 10:
            digits = 10 * digits + value
        elif value < 10_000:
            section, digits = section + (digits or 1) * value, 0
        else:
            total, section, digits = total + (section + digits) * value, 0, 0
    return total + section + digits
