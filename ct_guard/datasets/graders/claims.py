"""What a text says of what it names: that it is the answer, is not, or may be, or was."""

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from .numbers import Number

__all__ = ["claimed", "taken_back"]

_WINDOW = 80
"""Characters; a text may be long, and have as many numbers."""
_MONEY = r"[\s(*$\u20ac\u00a3]*"
_DENIED = re.compile(
    r"(?:\b(?:not|never|neither|nor|rather than|instead of|other than|except(?: for)?|without"
    r"|(?:any|every|no)thing but|all but|doubt(?: that)?(?: it(?: is|['\u2019]s))?"
    r"|nicht|kein|et non|et pas)|n['\u2019]t)"
    rf"(?:\s+(?:be|to|equal|exactly|just|simply|the|an?|number))*{_MONEY}\Z",
    re.IGNORECASE,
)
_DENIED_BEHIND = re.compile(
    r"\s*(?:(?:is|was|would be) (?:not|wrong|incorrect|false)|(?:is|was)n['\u2019]t|\?\s*no)\b",
    re.IGNORECASE,
)
_AT_LEAST = re.compile(
    r"(?:\b(?:(?:more|less|fewer|greater|larger|smaller|higher|lower) than"
    r"|at (?:the )?(?:least|most)|a (?:minimum|maximum) of)(?:\s+or equal to)?"
    r"|(?:\A|\b(?:is|are|was|were|be|of|just|well)|[:,(])\s*(?:over|under|above|below|up to)"
    rf"|(?:(?<=[\w)] )[<>]=?|[\u2264\u2265])){_MONEY}\Z",
    re.IGNORECASE,
)
_OR_MORE = re.compile(
    r"\s*(?:[^\W\d_]+\s+)?(?:or|and)\s+(?:more|less|fewer|above|below|over|under|up)\b|\s*\+(?!\w)",
    re.IGNORECASE,
)
_OR = re.compile(
    r"\s*(?P<unit>[^\W\d_]*)[\s,*]*\bor\s+(?:(?:maybe|possibly|perhaps|even|about|is it)\s+)*"
    rf"(?:[a-z]\s?=\s?)?{_MONEY}\Z",
    re.IGNORECASE,
)
_OF = re.compile(
    r"(?:\s*[^\W\d_]*\s*\bout of|\s*\bof)\s+(?:(?:the|these|those|all|its|his|her|their)\s+)*"
    rf"{_MONEY}\Z",
    re.IGNORECASE,
)
_ABOUT = re.compile(r"\s*(?:\u00b1|\+\s?/\s?[-\u2212]?)\s*\Z")
_SPAN = re.compile(rf"\s?[^\W\d_]*\s*\b(?:to|through)\s+{_MONEY}", re.IGNORECASE)
_SPAN_BEGINS = re.compile(
    r"(?:\A|\b(?:is|are|be|was|were|about|around|approximately|roughly)|[:=~(])"
    rf"{_MONEY}(?:from\s+)?{_MONEY}\Z",
    re.IGNORECASE,
)
_BETWEEN = re.compile(rf"\bbetween{_MONEY}\Z", re.IGNORECASE)
_ROOT = re.compile(r"(?:\\sqrt\s?(?:\[[0-9]\])?\s?\{?|\u221a\s?\(?)\s?\Z")
_IN_A_DATE = re.compile(r"[0-9]-\Z")
_RATIO = re.compile(r":| : ")
_SEPARATOR = re.compile(r"(?:[\s;&|()\[\]{}$*.\u20ac\u00a3]|\b(?:and|vs)\b|\b[a-z]\s?=)*")
"""What stands around the numbers of a text that is a bare list of them."""
_EQUALS = re.compile(r"\s?[^\W\d_]+\.?\s*=\s*\Z")
_UNIT = re.compile(r"\s?[^\W\d_]+")
_TAKES_BACK = re.compile(
    r"(?:\A|[\s,.;:!?(\u2014-])(?:wait|actually|correction|scratch that|oops|hold on|my mistake"
    r"|on second thoughts?|let me correct|i (?:mean|meant))\b",
    re.IGNORECASE,
)


def claimed(text: str, numbers: Sequence[Number]) -> Number | None:
    """The last number of `text` that is not denied; None where all are.

    It has no value, and what it can mean as others, where it is one of two ("12 or 13"), a bound
    ("more than 12"), a part of something ("7 of 12", "7:12"), below a root, a margin ("7 +/- 1"),
    an end of a span ("10 to 12", a date), one of a bare list ("12 and 13") or the same in another
    unit ("2 m = 200 cm").
    """
    kept = (one for one in reversed(numbers) if not _is_denied(text, one))
    last, before = next(kept, None), next(kept, None)
    if last is None:
        return None
    begins = _before(text, last)
    if _ROOT.search(begins) or _AT_LEAST.search(begins) or _OR_MORE.match(text, last.end):
        return _unsure(last, _meanings(last))
    if before is None:
        return last
    between = text[before.end : last.start]
    if (either := _OR.fullmatch(between)) and _same_unit(either["unit"], text[last.end :]):
        return _either(before, last)
    if _OF.fullmatch(between) or _RATIO.fullmatch(between):
        parts = _meanings(before) | _meanings(last)
        if before.value is not None and last.value:
            parts |= {before.value / last.value}
        return _unsure(last, parts)
    if _is_span(text, before, last) or _is_bare_list(text, numbers):
        return _either(before, last)
    if _ABOUT.fullmatch(between) or _is_conversion(text, before, last):
        return _either(before, last)
    return last


def taken_back(text: str) -> str:
    """What stands behind the first place that takes back what is before it; empty where none does:
    of "12. Wait, actually 13" everything behind "Wait"."""
    found = _TAKES_BACK.search(text)
    return text[found.end() :] if found else ""


def _is_conversion(text: str, one: Number, other: Number) -> bool:
    """Of a text that is no more than "2 m = 200 cm"; of a computation the last number counts."""
    return (
        not text[: one.start].strip()
        and _EQUALS.fullmatch(text[one.end : other.start]) is not None
        and _UNIT.match(text, other.end) is not None
    )


def _is_span(text: str, one: Number, other: Number) -> bool:
    """Of "from 10 to 12 km", "between 10 and 12" and 1999-12-31 as what a text says; what rises
    from 10 to 12 is 12."""
    between, begins = text[one.end : other.start], _before(text, one)
    if between.strip() == "and":
        return _BETWEEN.search(begins) is not None
    if between == "-":
        return _IN_A_DATE.search(begins) is not None
    return _SPAN.fullmatch(between) is not None and _SPAN_BEGINS.search(begins) is not None


def _is_bare_list(text: str, numbers: Sequence[Number]) -> bool:
    """Whether a text is nothing but several numbers: "12 and 13", "[12; 13]". Of "12, 13" the last
    counts, as it does in a row of results."""
    ends = [0, *(number.end for number in numbers)]
    starts = [*(number.start for number in numbers), len(text)]
    return all(
        _SEPARATOR.fullmatch(text, end, start) for end, start in zip(ends, starts, strict=True)
    )


def _before(text: str, number: Number) -> str:
    """As much of what stands before a number as says what it is."""
    return text[max(0, number.start - _WINDOW) : number.start]


def _is_denied(text: str, number: Number) -> bool:
    return bool(_DENIED.search(_before(text, number)) or _DENIED_BEHIND.match(text, number.end))


def _either(one: Number, other: Number) -> Number:
    if one.value == other.value:
        return other
    return _unsure(other, _meanings(one) | _meanings(other))


def _unsure(number: Number, meanings: frozenset[Decimal]) -> Number:
    return replace(number, value=None, others=meanings)


def _meanings(number: Number) -> frozenset[Decimal]:
    return number.others if number.value is None else number.others | {number.value}


def _same_unit(unit: str, behind: str) -> bool:
    """Of "12 or 13 km" and "12 km or 13 km"; "1.5 hours or 90 minutes" is one number."""
    other = _UNIT.match(behind)
    return not unit or other is None or other[0].strip().lower() == unit.lower()
