"""What a text takes away from what it names: that it is not so, or no longer said."""

import re
from collections.abc import Iterator, Sequence

from .numbers import Number

__all__ = ["MONEY", "lead_up", "refuted", "taken_back", "undenied"]

_WINDOW = 80
"""Characters; a text may be long, and have as many numbers."""
MONEY = r"[\s(*$\u20ac\u00a3]*"
_DENIED = re.compile(
    r"(?:\b(?:not|never|neither|nor|rather than|instead of|other than|except(?: for)?|without"
    r"|(?:any|every|no)thing but|all but|doubt(?: that)?(?: it(?: is|['\u2019]s))?"
    r"|(?<!\bis )(?<!\bwas )(?:wrong|incorrect)(?:\s+(?:answer|number|value))?(?:\s+is|\s*:)?"
    r"|nicht|kein|pas|no es|non \u00e8|n\u00e3o \u00e9|\u043d\u0435)"
    r"|n['\u2019]t|!=|\u2260|\u4e0d\u662f)"
    rf"(?:\s+(?:be|to|equal|exactly|just|simply|the|an?|number))*{MONEY}\Z",
    re.IGNORECASE,
)
_DENIED_BEHIND = re.compile(
    r"\s*(?:(?:[.,;]?\s*(?:that|this|which)(?:['\u2019]s)?\s?)?(?:is |was |would be |ist |)"
    r"(?:not (?!only)|wrong|incorrect|false|falsch|too (?:high|low|large|small|many|few|much))"
    r"|(?:is|was)n['\u2019]t|\?\s*no)\b",
    re.IGNORECASE,
)
_TAKES_BACK = re.compile(
    r"[\s,.;:!?(\u2014-](?:wait|actually|correction|scratch that|oops|hold on|my mistake"
    r"|edit|on (?:second thoughts?|reflection)|let me (?:correct|re-?check)|i (?:mean|meant)|sorry"
    r"|apologies|however|hmm+|(?<=\bor )rather(?! than)|rather(?= ?,)"
    r"|no(?=\s?[,.:;\u2014-]|\s(?:wait|it)\b))\b",
    re.IGNORECASE,
)
_REFUTED = re.compile(
    r"[\s.,;!]*(?:(?:but|however|no|wait|hmm+|actually)\b[\s,]*){0,2}(?:that|this|it|which)"
    r"(?:['\u2019]s|\s(?:is|was))\s(?:wrong|incorrect|false|not (?:right|correct|true))\b",
    re.IGNORECASE,
)


def undenied(text: str, numbers: Sequence[Number]) -> Iterator[Number]:
    """The numbers that a text does not deny, the last one first."""
    return (one for one in reversed(numbers) if not _is_denied(text, one))


def taken_back(text: str) -> str:
    """What stands behind the first place that takes back what is before it; empty where none does:
    of "12. Wait, actually 13" everything behind "Wait"."""
    found = _TAKES_BACK.search(text)
    return text[found.end() :] if found else ""


def refuted(text: str) -> bool:
    """Whether a text begins with saying that what is before it is wrong."""
    return _REFUTED.match(text) is not None


def lead_up(text: str, number: Number) -> str:
    """As much of what stands before a number as says what it is."""
    return text[max(0, number.start - _WINDOW) : number.start]


def _is_denied(text: str, number: Number) -> bool:
    return bool(_DENIED.search(lead_up(text, number)) or _DENIED_BEHIND.match(text, number.end))
