"""Numbers as people and models write them, with every value that they can mean."""

import html
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal, DecimalException, localcontext

from .units import UNITS_BEHIND, Unit, unit_of

__all__ = ["Number", "numbers_in"]

_GAP = "[ \u00a0\u2007\u2009\u202f]"
_SIGN = "[-+\u2212\u2013]"
_DIGITS = (
    r"[0-9]{1,3}(?:,[0-9]{3}){1,20}(?![0-9])(?:\.[0-9]+)?"  # 1,000.5
    r"|[0-9]{1,2}(?:,[0-9]{2}){1,20},[0-9]{3}(?![0-9])(?:\.[0-9]+)?"  # 12,34,567
    r"|[0-9]{1,3}(?:['\u2019_][0-9]{3}){1,20}(?![0-9])(?:\.[0-9]+)?"  # 1'000
    rf"|[0-9]{{1,3}}(?:{_GAP}[0-9]{{3}}){{1,20}}(?![0-9])(?:[.,][0-9]+)?"  # 1 000
    r"|[0-9]{1,3}(?:\.[0-9]{3}){1,20},[0-9]+|[0-9]{1,3}(?:\.[0-9]{3}){2,20}(?![0-9])"  # 1.000,50
    r"|(?<![0-9],)[0-9]+,[0-9]+(?![0-9,])"  # 1,5
    r"|[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
)
_POWER = (
    r"\s?(?:\^|\*\*)\s?(?P<%s_in>[{(]\s?)?(?P<%s>[-+\u2212]?[0-9]{1,3})"
    r"(?(%s_in)\s?[})])(?![0-9]|\s?\^)"
)
_NUMBER = re.compile(
    rf"(?P<sign>(?:(?<![\w.)])|(?<=\n)){_SIGN}(?P<apart>{_GAP})?"
    rf"|(?<![0-9)] )\b(?i:minus|negative|moins){_GAP})?"
    rf"(?P<money>[$\u20ac\u00a3\u00a5\u20b9]\s?)?(?P<digits>{_DIGITS})"
    rf"(?:(?P<e>[eE][-+\u2212]?[0-9]{{1,3}})(?!\w)|{_POWER.replace('%s', 'power')})?"
    rf"(?:\s?(?:[x\u00d7*\u00b7]|\\times|\\cdot)\s?10{_POWER.replace('%s', 'ten')})?"
    rf"(?:\s?/\s?(?P<divisor>0*[1-9][0-9]*(?:\.[0-9]+)?)(?![\w/]|\.[0-9]))?"
    r"(?:\s?(?P<scale>hundred|dozen|thousand|million|billion|trillion|lakh|crore|ml?n|[bt]n|Mio|Mrd"
    r"|[kKMBT](?![\w'])|(?(money)m(?![\w'/\u00b2])|(?!)))\b)?"
    r"(?P<percent>\s?(?:%|\u2030|percent\b|per cent\b))?"
)
_MIXED = re.compile(
    rf"(?<![0-9.,])([0-9]+){_GAP}{{1,2}}([0-9]+)\s?/\s?([1-9][0-9]*)(?![\w/]|\.[0-9])"
)
_SCALES = {
    "dozen": 12, "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9,
    "trillion": 10**12, "k": 1000, "m": 10**6, "mn": 10**6, "mln": 10**6, "mio": 10**6,
    "b": 10**9, "bn": 10**9, "mrd": 10**9, "t": 10**12, "tn": 10**12, "lakh": 10**5, "crore": 10**7,
}  # fmt: skip
_FRACTION = re.compile(r"\\[dt]?frac\s?\{?\s?([0-9.]+)\s?\}?\s?\{?\s?([0-9.]+)\s?\}?")
_RAISED = re.compile("[\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]{1,3}")
_NOTE = re.compile(rf"\s(?<=\w\s){_RAISED.pattern}(?![^\W_])")
"""Apart from its word, the number of a note."""
_LATEX = (
    (r"{,}", ","),
    (r"\,", "\u2009"),
    (r"\ ", "\u2009"),
    ("~", "\u2009"),
    (r"\%", "%"),
    (r"\$", "$"),
)
_RAISED_TAG, _LOWERED_TAG = (
    re.compile(rf"<{tag}>\s?([^<]{{0,8}}?)\s?</{tag}>", re.IGNORECASE) for tag in ("sup", "sub")
)
_CLOCK = re.compile(r"\b([0-9]{1,3})\s?h\s?([0-5][0-9])\b")
_FEET = re.compile(r"\b([0-9])\s?['\u2032\u2019]\s?([0-9]{1,2})\s?(?:[\"\u2033\u201d]|'')")
_FEET_INCHES = re.compile(r"(?<=[0-9])(\s?(?:ft|feet)\.?\s[0-9]{1,2})\s?in\b")
_SLASHED_DATE = re.compile(r"(?<![\w/.])([0-9]{1,2})([/.])([0-9]{1,2})\2([0-9]{4})(?![\w/])")
_NOTED_YEAR = re.compile(r"(1[5-9][0-9]{2}|20[0-2][0-9])[1-9][0-9]?")
"""A year and the number of a note that lost its mark: 20171."""
_OTHER_BASE = re.compile(r"\b0(?:[xX][0-9a-fA-F]{1,16}|[bB][01]{1,64}|[oO][0-7]{1,22})\b")
_SEPARATORS = {"\u066b": ".", "\u066c": ",", "\uff0e": ".", "\uff0c": ","}
"""Of scripts that have their own digits."""
_TAKEN_OFF = re.compile(r"-(?![\w$\u20ac\u00a3.])")
_EXACT = 400
"""Digits of a power that are kept."""


@dataclass(frozen=True)
class Number:
    """A number in a text. `value` is how it reads in English, None where that is not clear;
    `others` are what it can mean as well."""

    value: Decimal | None
    others: frozenset[Decimal]
    start: int
    end: int
    """Where it stands in what `plain` makes of the text."""
    unit: Unit | None = None
    """One of the usual ones, where it stands there."""

    @property
    def meanings(self) -> frozenset[Decimal]:
        return self.others if self.value is None else self.others | {self.value}

    written: str = ""
    """Of an expression, its numbers and operations in one spelling."""
    is_open: bool = False
    """Whether it belongs to something that has a value, but which one is not worked out."""

    def unsure(self, meanings: Iterable[Decimal] = ()) -> "Number":
        """Without a value: it can mean what it did, or one of these."""
        return replace(self, value=None, others=self.meanings.union(meanings))

    def measured_in(self, unit: Unit | None) -> "Number":
        """In another unit; without a value, where that is of another quantity."""
        if unit is None or self.unit is None or unit == self.unit:
            return self
        if unit.quantity != self.unit.quantity:
            return self.unsure()
        factor = self.unit.size / unit.size
        value = None if self.value is None else self.value * factor
        return replace(self, value=value, others=frozenset(one * factor for one in self.others))

    def __str__(self) -> str:
        shown = [self.value] if self.value is not None else sorted(self.others)
        return " or ".join(f"{value:g}" for value in shown)


def plain(text: str) -> str:
    """The text without LaTeX's marks within numbers, and with fractions as 3/4."""
    if "&" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _LOWERED_TAG.sub(r"_\1", _RAISED_TAG.sub(r"^{\1}", text))
    for mark, written in _LATEX:
        text = text.replace(mark, written)
    text = _FRACTION.sub(_as_quotient, text)
    text = _CLOCK.sub(r"\1 h \2 min", _FEET.sub(r"\1 ft \2 inches", text))
    text = _FEET_INCHES.sub(r"\1 inches", text)
    text = _SLASHED_DATE.sub(r"\1-\3-\4", text)
    text = _OTHER_BASE.sub(lambda found: str(int(found[0], 0)), text)
    text = _NOTE.sub(" ", text)
    text = _RAISED.sub(lambda found: "^" + unicodedata.normalize("NFKC", found[0]), text)
    return text if text.isascii() else "".join(map(_spelled, text))


def _as_quotient(found: re.Match[str]) -> str:
    """\\frac{1}{2} as 1/2, apart from a whole number before it."""
    begins = found.string[: found.start()][-1:].isdigit()
    return f"{' ' if begins else ''}{found[1]}/{found[2]}"


def numbers_in(text: str) -> list[Number]:
    """All numbers of a text that `plain` made, in order. Digits within a word or behind an
    underscore, as in H2O and m^2, are none."""
    mixed = {match.start(): match for match in _MIXED.finditer(text)}
    found = []
    end = 0
    for match in _NUMBER.finditer(text):
        at = match.start("digits")
        if match.start() < end or (at and _is_within_a_word(text, at)):
            continue
        if at in mixed:
            whole, over, under = map(Decimal, mixed[at].groups())
            value = whole + over / under
            end = mixed[at].end()
            found.append(
                Number(value.copy_negate() if match["sign"] else value, frozenset(), at, end)
            )
            continue
        end = match.end()
        found.append(_read(match))
    return found


def _is_within_a_word(text: str, at: int) -> bool:
    before = text[at - 1]
    return (
        before in "_^"
        or before.isalpha()
        or (before == "{" and text[at - 2 : at - 1] in ("_", "^"))
    )


def _read(match: re.Match[str]) -> Number:
    values = [_scaled(value, match) for value in _digits(match["digits"])]
    first, *others = values
    if first is not None and (match["apart"] or match["sign"] == "\u2013"):
        first = first.copy_abs()  # a minus, or the dash of a list
        others += [first.copy_negate()]
    elif first is not None and not match["sign"] and _is_booked_off(match):
        others += [first.copy_negate()]
    if match["scale"] and first is not None:
        others += [first / _SCALES[match["scale"].lower()]]
    if match["percent"] and first is not None:
        others += [first / (1000 if "\u2030" in match["percent"] else 100)]
    if noted := _NOTED_YEAR.fullmatch(match["digits"]):
        others += [Decimal(noted[1])]
    known = frozenset(value for value in others if value is not None and value != first)
    unit = unit_of(match["money"] or UNITS_BEHIND.match(match.string, match.end()))
    return Number(first, known, match.start(), match.end(), unit)


def _is_booked_off(match: re.Match[str]) -> bool:
    """Whether it is written as accounts write what is taken off: (500), 500-."""
    text, start, end = match.string, match.start(), match.end()
    bracketed = text[start - 1 : start] == "(" and text[end : end + 1] == ")"
    return bracketed or _TAKEN_OFF.match(text, end) is not None


def _digits(written: str) -> list[Decimal | None]:
    """The value of a run of digits, and the others that it can have."""
    bare = re.sub(rf"{_GAP}|['\u2019_]", "", written)
    point = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{3})+)(?:,([0-9]+))?", bare)
    if point and (point[2] or bare.count(".") > 1):  # 1.000,50 and 1.000.000
        return [None, Decimal(f"{point[1].replace('.', '')}.{point[2] or 0}")]
    if point and not bare.startswith("0"):  # 1.000
        return [Decimal(bare), Decimal(bare.replace(".", ""))]
    comma = re.fullmatch(r"([0-9]+),([0-9]+)", bare)
    if comma and (bare != written or bare.startswith("0") or len(comma[2]) != 3):  # 1,5; 1 000,50
        decimal = Decimal(f"{comma[1]}.{comma[2]}")
        return [decimal] if bare != written else [None, decimal, Decimal(comma[2])]
    return [Decimal(bare.replace(",", ""))]


def _scaled(value: Decimal | None, match: re.Match[str]) -> Decimal | None:
    if value is None:
        return None
    try:
        if match["e"]:
            value *= Decimal(10) ** int(_ascii(match["e"][1:]))
        if match["power"]:
            value = _raised(value, int(_ascii(match["power"])))
        if match["ten"]:
            value *= Decimal(10) ** int(_ascii(match["ten"]))
        if match["divisor"]:
            value /= Decimal(match["divisor"])
        if match["scale"]:
            value *= _SCALES[match["scale"].lower()]
    except DecimalException:
        return None
    return value.copy_negate() if match["sign"] and match["sign"][0] != "+" else value


def _raised(value: Decimal, power: int) -> Decimal:
    """Exactly, where it is a whole number that is not too large."""
    with localcontext() as context:
        context.prec = _EXACT
        exact = value**power
    return exact if exact == exact.to_integral_value() else value**power


def _ascii(number: str) -> str:
    return number.replace("\u2212", "-")


def _spelled(character: str) -> str:
    """Digits of any script and signs for fractions in ASCII: 1\u00bd as 1 1/2."""
    if character.isascii():
        return character
    if character in _SEPARATORS:
        return _SEPARATORS[character]
    kind = unicodedata.decomposition(character)
    if kind.startswith("<fraction>"):
        return " " + unicodedata.normalize("NFKC", character).replace("\u2044", "/")
    return str(unicodedata.digit(character)) if character.isdecimal() else character
