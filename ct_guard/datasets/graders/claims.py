"""What a text says of what it names: that it is the answer, is not, or may be, or was."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from .denials import MONEY, lead_up, undenied
from .expressions import expression_around
from .normalise import TENS, UNITS
from .numbers import Number

__all__ = ["claimed"]

_AT_LEAST = re.compile(
    r"(?:\b(?:(?:more|less|fewer|greater|larger|smaller|higher|lower) than"
    r"|at (?:the )?(?:least|most)|(?:max|min)(?:imum)?\.?(?: of)?|exceed(?:s|ing)?"
    r"|mehr als|weniger als|mindestens|h\u00f6chstens|plus de|moins de|au (?:moins|plus)"
    r"|m\u00e1s de|menos de)(?:\s+or equal to)?"
    r"|\u8d85\u8fc7|\u81f3\u5c11|\u81f3\u591a"
    r"|(?:\A|\b(?:is|are|was|were|be|of|just|well)|[:,(])\s*(?:over|under|above|below|up to)"
    rf"|(?:(?:(?<=[\w)] )|\A)[<>]|[<>]=|[\u2264\u2265])){MONEY}\Z",
    re.IGNORECASE,
)
_OR_MORE = re.compile(
    r"\s*(?:[^\W\d_]+\s+)?(?:(?:or|and)\s+(?:more|less|fewer|above|below|over|under|up)"
    r"|at (?:the )?(?:most|least)|max|maximum|minimum)\b|\s*\+(?!\s?\w)",
    re.IGNORECASE,
)
_OR = re.compile(
    r"\s*(?P<unit>[^\W\d_]*)[\s,*]*\b(?:(?:and\s?/\s?)?or|oder|ou|o|\u0438\u043b\u0438)\s+"
    r"(?:(?:maybe|possibly|perhaps|even|about|is it)\s+)*"
    rf"(?:[a-z]\s?=\s?)?{MONEY}\Z",
    re.IGNORECASE,
)
_OF = re.compile(
    r"(?:\s*[^\W\d_]*\s*\bout of|\s*\bof|\s*\bin)\s+"
    r"(?:(?:the|these|those|all|its|his|her|their)\s+)*"
    rf"{MONEY}\Z",
    re.IGNORECASE,
)
_ABOUT = re.compile(r"\s*(?:\u00b1|\+\s?/\s?[-\u2212]?)\s*\Z")
_SPAN = re.compile(rf"\s?[^\W\d_]*\s*\b(?:to|through)\s+{MONEY}", re.IGNORECASE)
_SPAN_BEGINS = re.compile(
    r"(?:\A|\b(?:is|are|be|was|were|about|around|approximately|roughly)|[:=~(])"
    rf"{MONEY}(?:from\s+)?{MONEY}\Z",
    re.IGNORECASE,
)
_BETWEEN = re.compile(rf"\bbetween{MONEY}\Z", re.IGNORECASE)
_OPERATION = re.compile(
    r"\s?(?:[-+*/\u00d7\u00f7\u00b7\u2212\u2013\u2014~\u301c\u2026]|\.\.+|\\(?:times|cdot|div|pm|mp)"
    r"|(?:plus|minus|times|modulo|mod|choose|over|divided by|multiplied by|bis|\u00e0)\b)\s?"
)
"""Of two numbers that make a third, or a span."""
_FUNCTION = re.compile(
    r"(?:\\?\b(?:sqrt|cbrt|ln|log|lg|sin|cos|tan|exp)(?:_\{?\w{1,3}\}?)?\s?(?:\[[0-9]\])?|\u221a"
    r"|\b(?:square|cube) root of|\}(?=\s?\{))\s?(?:\\left)?[({]?\s?\Z"
)
"""Before what is no number of its own: below a root, or the line of a fraction."""
_CALLED = re.compile(
    r"(?:(?<![^\W\d_])(?:[a-zA-Z]|min|max|gcd|lcm|floor|ceil|round|abs|sum|det|len)|\\[a-zA-Z]+)"
    r"['\u2032]{0,3}(?:\\left)?\((?:[^()\n]{0,60}[,+*/^=-])?\s?\Z"
)
"""Before what a function is taken of."""
_SPELLED_OPERAND = re.compile(
    rf"\b(?:{'|'.join((*UNITS, *TENS))})\s(?:times|plus|minus|(?:divided|multiplied) by)\s"
    rf"{MONEY}\Z",
    re.IGNORECASE,
)
"""Before the second part of a sum whose first one is a word."""
_ROUNDED = re.compile(r"(?:\\l(?:floor|ceil)|[\u230a\u2308])\s?\Z")
_BAR = re.compile(r"\\?\|")
_MODULUS = re.compile(
    r"(?:\\pmod\s?\{?|[(,]\s?(?:\\?b?mod(?:ulo)?|\\(?:text|mathrm)\{\s?mod\s?\})\s?)\Z"
)
"""Before what a remainder is of."""
_TIMES = {"half": "0.5", "third": "1/3", "quarter": "0.25", "fourth": "0.25", "fifth": "0.2",
          "tenth": "0.1", "twice": "2", "double": "2", "triple": "3", "thrice": "3"}  # fmt: skip
_SHARE = re.compile(
    rf"\b(?P<times>{'|'.join(_TIMES)})(?P<several>s)?(?:\s+(?:of|the|as\s+(?:many|much)\s+as))*{MONEY}\Z",
    re.IGNORECASE,
)
"""Before what is multiplied by a word."""
_MADE_OF = re.compile(
    r"\b(?:square|cube|reciprocal|inverse|factorial|logarithm|absolute value|double|triple) of"
    rf"{MONEY}\Z",
    re.IGNORECASE,
)
_RAISED_BEHIND = re.compile(r"\s(squared|cubed|factorial)\b(?!\s[^\W\d_])", re.IGNORECASE)
_HANGS = re.compile(
    r"\s+(?P<what>[^\W\d_][\w'\u2019-]*(?:\s+[^\W\d_][\w'\u2019-]*){0,1}?"
    r"(?:\s+of\s+[^\W\d_][\w'\u2019-]*)?)\s+"
    r"(?:in|per|for|over|after|within|across|among|amongst|at|from|with|by|on|of|inside|under"
    r"|before|until|during|every|each|spread over|out of)\s+"
    r"(?:(?:the|a|an|each|every|all|its|his|her|their|these|those|only|about|exactly|giving|using"
    rf"|eating|selling|losing|having|another|other)\s+){{0,3}}{MONEY}",
    re.IGNORECASE,
)
"""Between two numbers of which the second only says more of the first."""
_SAYS = frozenset(
    ("is", "are", "was", "were", "be", "equals", "equal", "makes", "make", "made", "gives", "give",
     "gets", "get", "got", "leaves", "leave", "comes", "totals", "total", "so", "thus",
     "then", "hence", "therefore", "and", "or", "to", "has", "have", "had", "becomes", "result",
     "answer", "sum", "difference", "product", "than", "not", "but", "consists", "consist", "of",
     "in", "with", "from", "by", "on", "at", "for")
)  # fmt: skip
"""Words that the second number may be an outcome behind."""
_YEAR = re.compile(r"(?:1[0-9]|20)[0-9]{2}\Z")
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b", re.IGNORECASE)
_FACTOR = re.compile(r"(?:\s?(?:i|[xyz])\b(?!\.)|n\b)")
"""Behind one that is multiplied by what is not known."""
_TEN_YEARS = re.compile(r"(?:1[0-9]|20)[0-9]0")
_DECADE = re.compile(r"['\u2019]?s\b")
_CENTURY = re.compile(r"(?:st|nd|rd|th)[\s-]century\b", re.IGNORECASE)
_OF_THEM = re.compile(r"\s*of (?:whom|which|them|these|those)\b", re.IGNORECASE)
_ADDED = re.compile(r"(?:\s?[^\W\d_]+\.?)?[\s,]*(?:and\s+)?", re.IGNORECASE)
"""Between two quantities that are one: 1 hour and 30 minutes."""
_CONSTANT = re.compile(r"\s?(?:\\?[pP]i\b|\u03c0|\\sqrt|\u221a)|e\b")
"""The same, by what is known."""
_BELOW_ZERO = re.compile(r"(?:\s?\u00b0)?\s?(?:[^\W\d_]+\s+){0,2}below zero\b", re.IGNORECASE)
_SURENESS = re.compile(
    r"\s*(?:sure|certain|confiden(?:t|ce)|chance of being|probability of being)\b", re.IGNORECASE
)
_SURENESS_BEFORE = re.compile(
    r"\b(?:confidence|certainty)(?:\s(?:score|level))?\s?(?:[:=]|is|of)?\s*\Z", re.IGNORECASE
)
_REASON = re.compile(
    r"(?:,\s*as|\b(?:because|since|given that|due to))\b(?:[^.!?\n]|\.(?=[0-9]))*[.!?]?\s*\Z",
    re.IGNORECASE,
)
"""That ends a text."""
_REASON_LENGTH = 400
_IN_A_DATE = re.compile(r"[0-9]-\Z")
_RATIO = re.compile(r":| : ")
_SEPARATOR = re.compile(
    r"(?:[\s,;&|()\[\]{}$*.\\\u20ac\u00a3]|\\text|\b(?:and|or|both|vs)\b|\b[a-z]\s?=)*"
)
"""What stands around the numbers of a text that is a bare list of them."""
_ROW = re.compile(r"[ 0-9.,+\u2212-]*")
_EQUALS = re.compile(r"\s?[^\W\d_]+\.?\s*=\s*\Z")
_UNIT = re.compile(r"\s?[^\W\d_]+")


def claimed(text: str, numbers: Sequence[Number], *, marked: bool = False) -> Number | None:
    """The last number of `text` that is not denied; None where all are. A text that is `marked` as
    the answer holds no row of results.

    It has no value, and what it can mean as others, where it is one of two ("12 or 13"), a bound
    ("more than 12"), a part of something ("7 of 12", "7:12"), below a root or times another
    ("7 pi"), a margin ("7 +/- 1"), an end of a span ("10 to 12", a date) or of a sum that is not
    worked out ("7 - 3"), one of a bare list ("12 and 13"), in the reason for another, or the same
    in another unit ("2 m = 200 cm"), or where it only says more of the one before it ("42 students
    in 7 rows"). An expression that can be nothing else has the value that it comes to.
    """
    rest = undenied(text, numbers)
    last, before = next(rest, None), next(rest, None)
    if last is None:
        return None
    if before is not None and _is_sureness(text, last):
        last, before = before, next(rest, None)
    last, before = _whole(text, last, before, rest, numbers)
    while before is not None and (added := _added(text, before, last)):
        last, before = added, next(rest, None)
    begins = lead_up(text, last)
    if before is not None and _MODULUS.search(begins):
        left = _modulo(before, last)
        last, before = replace(before, others=before.others | left), next(rest, None)
        begins = lead_up(text, last)
    if _BELOW_ZERO.match(text, last.end):
        return last.unsure(-one for one in last.meanings)
    if years := _years(text, last):
        return replace(last, value=None, others=years, written=f"{last}s")
    if _CENTURY.match(text, last.end) and last.value is not None:
        begun = 100 * (last.value - 1)
        return replace(last, others=last.others.union(begun + year for year in range(101)))
    if _FACTOR.match(text, last.end):
        return last.unsure()
    if _FUNCTION.search(begins) or _CALLED.search(begins) or _CONSTANT.match(text, last.end):
        return replace(last.unsure(), is_open=True)
    if _ROUNDED.search(begins) or _SPELLED_OPERAND.search(begins) or _is_size_of(text, last):
        return replace(last.unsure(), is_open=True)
    if _MADE_OF.search(begins) or _RAISED_BEHIND.match(text, last.end):
        return replace(last.unsure(), is_open=True)
    if (part := _SHARE.search(begins)) and last.value is not None:
        times = _times(part["times"].lower())
        counts = (2, 3, 4) if part["several"] else (1,)
        return last.unsure(last.value * times * count for count in counts)
    if _AT_LEAST.search(begins) or _OR_MORE.match(text, last.end):
        return last.unsure()
    if before is None:
        return last
    if reason := _REASON.search(text, max(0, len(text) - _REASON_LENGTH)):
        ahead = (one for one in (before, *rest) if one.end <= reason.start() < last.start)
        if given := next(ahead, None):
            return _either(given, last)
    if _OF_THEM.match(text, last.end):
        return _either(before, last)
    between = text[before.end : last.start]
    sign = text[last.start] if text[last.start] in "+-\u2212\u2013" else ""
    if _OPERATION.fullmatch(between + sign):
        return _either(before, last)
    if (either := _OR.fullmatch(between)) and _same_unit(either["unit"], text[last.end :]):
        return _either(before, last)
    if _OF.fullmatch(between) or _RATIO.fullmatch(between):
        share = {before.value / last.value} if before.value is not None and last.value else set()
        parts = {one * other for one in before.others if one < 1 for other in last.meanings}
        return last.unsure(before.meanings | share | parts)
    if _hangs(text, before, last):
        return _either(before, last)
    if _is_span(text, before, last) or _is_bare_list(text, numbers, marked):
        return _either(before, last)
    if _ABOUT.fullmatch(between) or _is_conversion(text, before, last):
        return _either(before, last)
    return last


def _whole(
    text: str,
    last: Number,
    before: Number | None,
    rest: Iterator[Number],
    numbers: Sequence[Number],
) -> tuple[Number, Number | None]:
    """The expression that the last number is a part of, as one number, and the number before it."""
    found = expression_around(text, last, numbers)
    if found is None:
        return last, before
    worth = frozenset() if found.value is None else frozenset({found.value})
    if found.reading == "loud":
        return replace(last, others=last.others | worth), before
    parts = [last]
    while before is not None and before.start >= found.start:
        parts.append(before)
        before = next(rest, None)
    meant = frozenset[Decimal]().union(worth, *(one.meanings for one in parts))
    value = found.value if found.reading == "sure" else None
    whole = Number(
        value,
        meant - {value},
        found.start,
        found.end,
        last.unit,
        found.written,
        is_open=found.value is None and not found.written and not found.has_letters,
    )
    return whole, before


def _added(text: str, one: Number, other: Number) -> Number | None:
    """The quantity that two are together, as in 1 hour and 30 minutes, which may be the latter."""
    if one.unit is None or other.unit is None or one.value is None or other.value is None:
        return None
    size = one.unit.size / other.unit.size
    is_part = one.unit.quantity == other.unit.quantity and abs(other.value) < size
    if not is_part or _ADDED.fullmatch(text, one.end, other.start) is None:
        return None
    return Number(one.value * size + other.value, other.meanings, one.start, other.end, other.unit)


def _years(text: str, number: Number) -> frozenset[Decimal]:
    """Those of a decade, as the 1990s."""
    begun = text[number.start : number.end]
    if not _TEN_YEARS.fullmatch(begun) or not _DECADE.match(text, number.end):
        return frozenset()
    return frozenset(Decimal(int(begun) + year) for year in range(10))


def _hangs(text: str, before: Number, last: Number) -> bool:
    """Whether the last number only says more of the one before it, as in "42 students in 7 rows";
    not a year, which says when."""
    found = _HANGS.fullmatch(text, before.end, last.start)
    if found is None or not _SAYS.isdisjoint(found["what"].lower().replace(" of ", " ").split()):
        return False
    years = (_YEAR.match(text[one.start : one.end]) for one in (before, last) if one.unit is None)
    return not any(years) and _ORDINAL.match(text, last.end) is None


def _is_size_of(text: str, number: Number) -> bool:
    """Of |-9|, which is 9."""
    is_below = number.value is not None and number.value < 0
    return (
        is_below
        and text[number.start - 1 : number.start] == "|"
        and bool(_BAR.match(text, number.end))
    )


def _modulo(one: Number, other: Number) -> frozenset[Decimal]:
    if one.value is None or not other.value:
        return frozenset()
    return frozenset({one.value - other.value * (one.value // other.value)})


def _times(word: str) -> Decimal:
    over, _, under = _TIMES[word].partition("/")
    return Decimal(over) / Decimal(under or 1)


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
    between, begins = text[one.end : other.start], lead_up(text, one)
    if between.strip() == "and":
        return _BETWEEN.search(begins) is not None
    if between == "-":
        return _IN_A_DATE.search(begins) is not None
    return _SPAN.fullmatch(between) is not None and _SPAN_BEGINS.search(begins) is not None


def _is_bare_list(text: str, numbers: Sequence[Number], marked: bool) -> bool:
    """Whether a text is nothing but several numbers: "12 and 13", "[12, 13]". Of "12, 13" the last
    counts, as it does in a row of results."""
    if not marked and "," in text and _ROW.fullmatch(text):
        return False
    ends = [0, *(number.end for number in numbers)]
    starts = [*(number.start for number in numbers), len(text)]
    return all(
        _SEPARATOR.fullmatch(text, end, start) for end, start in zip(ends, starts, strict=True)
    )


def _is_sureness(text: str, number: Number) -> bool:
    """Whether it says how sure an answer is, as in "12, I am 90% sure"."""
    before = _SURENESS_BEFORE.search(lead_up(text, number))
    return before is not None or _SURENESS.match(text, number.end) is not None


def _either(one: Number, other: Number) -> Number:
    if one.value == other.value:
        return other
    return other.unsure(one.meanings)


def _same_unit(unit: str, behind: str) -> bool:
    """Of "12 or 13 km" and "12 km or 13 km"; "1.5 hours or 90 minutes" is one number."""
    other = _UNIT.match(behind)
    return not unit or other is None or other[0].strip().lower() == unit.lower()
