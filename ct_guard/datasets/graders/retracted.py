"""Where a text takes back what it said before."""

import re

__all__ = ["taken_back"]

_TAKES_BACK = re.compile(
    r"(?:\A|[\s,.;:!?(\u2014-])(?:wait|actually|correction|scratch that|oops|hold on|my mistake"
    r"|on second thoughts?|let me correct|i (?:mean|meant))\b",
    re.IGNORECASE,
)


def taken_back(text: str) -> str:
    """What stands behind the first place that takes back what is before it; empty where none does:
    of "12. Wait, actually 13" everything behind "Wait"."""
    found = _TAKES_BACK.search(text)
    return text[found.end() :] if found else ""
