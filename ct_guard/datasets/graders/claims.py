"""What a text says of what it names: that it is the answer, is not, or may be, or was."""

import re
from collections.abc import Sequence

from .numbers import Number

__all__ = ["claimed", "refuted", "taken_back"]

_WINDOW = 80
"""Characters; a text may be long, and have as many numbers."""
_MONEY = r"[\s(*$\u20ac\u00a3]*"
_DENIED = re.compile(
    r"(?:\b(?:not|never|neither|nor|rather than|instead of|other than|except(?: for)?|without"
    r"|(?:any|every|no)thing but|all but|doubt(?: that)?(?: it(?: is|['\u2019]s))?"
    r"|(?<!\bis )(?<!\bwas )(?:wrong|incorrect)(?:\s+(?:answer|number|value))?(?:\s+is|\s*:)?"
    r"|nicht|kein|pas|no es|non \u00e8|n\u00e3o \u00e9|\u043d\u0435)"
    r"|n['\u2019]t|!=|\u2260|\u4e0d\u662f)"
    rf"(?:\s+(?:be|to|equal|exactly|just|simply|the|an?|number))*{_MONEY}\Z",
    re.IGNORECASE,
)
_DENIED_BEHIND = re.compile(
    r"\s*(?:(?:[.,;]?\s*(?:that|this|which)(?:['\u2019]s)?\s?)?(?:is |was |would be |ist |)"
    r"(?:not (?!only)|wrong|incorrect|false|falsch|too (?:high|low|large|small|many|few|much))"
    r"|(?:is|was)n['\u2019]t|\?\s*no)\b",
    re.IGNORECASE,
)
_AT_LEAST = re.compile(
    r"(?:\b(?:(?:more|less|fewer|greater|larger|smaller|higher|lower) than"
    r"|at (?:the )?(?:least|most)|(?:max|min)(?:imum)?\.?(?: of)?|exceed(?:s|ing)?"
    r"|mehr als|weniger als|mindestens|h\u00f6chstens|plus de|moins de|au (?:moins|plus)"
    r"|m\u00e1s de|menos de)(?:\s+or equal to)?"
    r"|\u8d85\u8fc7|\u81f3\u5c11|\u81f3\u591a"
    r"|(?:\A|\b(?:is|are|was|were|be|of|just|well)|[:,(])\s*(?:over|under|above|below|up to)"
    rf"|(?:(?:(?<=[\w)] )|\A)[<>]|[<>]=|[\u2264\u2265])){_MONEY}\Z",
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
    rf"(?:[a-z]\s?=\s?)?{_MONEY}\Z",
    re.IGNORECASE,
)
_OF = re.compile(
    r"(?:\s*[^\W\d_]*\s*\bout of|\s*\bof|\s*\bin)\s+"
    r"(?:(?:the|these|those|all|its|his|her|their)\s+)*"
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
_FACTOR = re.compile(
    r"\s?(?:\\?[pP]i\b|\u03c0|\\sqrt|\u221a|(?:i|[xyz])\b(?!\.)|!(?=\s?(?:\}|\$|\\\))))"
)
"""Behind one that is multiplied."""
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
_TAKES_BACK = re.compile(
    r"[\s,.;:!?(\u2014-](?:wait|actually|correction|scratch that|oops|hold on|my mistake"
    r"|edit|on (?:second thoughts?|reflection)|let me (?:correct|re-?check)|i (?:mean|meant)|sorry"
    r"|apologies|however|rather(?= ?,)|hmm+|no(?=\s?[,.:;\u2014-]|\s(?:wait|it)\b))\b",
    re.IGNORECASE,
)
_REFUTED = re.compile(
    r"[\s.,;!]*(?:(?:but|however|no|wait|hmm+|actually)\b[\s,]*){0,2}(?:that|this|it|which)"
    r"(?:['\u2019]s|\s(?:is|was))\s(?:wrong|incorrect|false|not (?:right|correct|true))\b",
    re.IGNORECASE,
)


def claimed(text: str, numbers: Sequence[Number], *, marked: bool = False) -> Number | None:
    """The last number of `text` that is not denied; None where all are. A text that is `marked` as
    the answer holds no row of results.

    It has no value, and what it can mean as others, where it is one of two ("12 or 13"), a bound
    ("more than 12"), a part of something ("7 of 12", "7:12"), below a root or times another
    ("7 pi"), a margin ("7 +/- 1"), an end of a span ("10 to 12", a date) or of a sum that is not
    worked out ("7 + 3"), one of a bare list ("12 and 13"), in the reason for another, or the same
    in another unit ("2 m = 200 cm").
    """
    undenied = (one for one in reversed(numbers) if not _is_denied(text, one))
    last, before = next(undenied, None), next(undenied, None)
    if last is None:
        return None
    if before is not None and _is_sureness(text, last):
        last, before = before, next(undenied, None)
    begins = _before(text, last)
    if _BELOW_ZERO.match(text, last.end):
        return last.unsure(-one for one in last.meanings)
    if (
        _FUNCTION.search(begins)
        or _FACTOR.match(text, last.end)
        or _AT_LEAST.search(begins)
        or _OR_MORE.match(text, last.end)
    ):
        return last.unsure()
    if before is None:
        return last
    if reason := _REASON.search(text, max(0, len(text) - _REASON_LENGTH)):
        ahead = (one for one in (before, *undenied) if one.end <= reason.start() < last.start)
        if given := next(ahead, None):
            return _either(given, last)
    between = text[before.end : last.start]
    sign = text[last.start] if text[last.start] in "+-\u2212\u2013" else ""
    if _OPERATION.fullmatch(between + sign):
        return _either(before, last)
    if (either := _OR.fullmatch(between)) and _same_unit(either["unit"], text[last.end :]):
        return _either(before, last)
    if _OF.fullmatch(between) or _RATIO.fullmatch(between):
        share = {before.value / last.value} if before.value is not None and last.value else set()
        return last.unsure(before.meanings | share)
    if _is_span(text, before, last) or _is_bare_list(text, numbers, marked):
        return _either(before, last)
    if _ABOUT.fullmatch(between) or _is_conversion(text, before, last):
        return _either(before, last)
    return last


def taken_back(text: str) -> str:
    """What stands behind the first place that takes back what is before it; empty where none does:
    of "12. Wait, actually 13" everything behind "Wait"."""
    found = _TAKES_BACK.search(text)
    return text[found.end() :] if found else ""


def refuted(text: str) -> bool:
    """Whether a text begins with saying that what is before it is wrong."""
    return _REFUTED.match(text) is not None


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


def _before(text: str, number: Number) -> str:
    """As much of what stands before a number as says what it is."""
    return text[max(0, number.start - _WINDOW) : number.start]


def _is_denied(text: str, number: Number) -> bool:
    return bool(_DENIED.search(_before(text, number)) or _DENIED_BEHIND.match(text, number.end))


def _is_sureness(text: str, number: Number) -> bool:
    """Whether it says how sure an answer is, as in "12, I am 90% sure"."""
    before = _SURENESS_BEFORE.search(_before(text, number))
    return before is not None or _SURENESS.match(text, number.end) is not None


def _either(one: Number, other: Number) -> Number:
    if one.value == other.value:
        return other
    return other.unsure(one.meanings)


def _same_unit(unit: str, behind: str) -> bool:
    """Of "12 or 13 km" and "12 km or 13 km"; "1.5 hours or 90 minutes" is one number."""
    other = _UNIT.match(behind)
    return not unit or other is None or other[0].strip().lower() == unit.lower()
