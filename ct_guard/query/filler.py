"""Blanks, dots and marks that say nothing, but move a score: read as the little that they are."""

import re
from collections import Counter

__all__ = ["without_filler"]

_UNSEEN = str.maketrans(dict.fromkeys("\u115f\u1160\u2800\u3164\uffa0", " "))
"""Letters and symbols without any ink."""

_INDENTATION = 32
_DOTS = ".\u2026\u00b7\u2024\u2025\u3002\ufe52\uff0e\uff61"
_HANGING = ",;:([{<"
"""Marks that something has to follow."""
_APART = (
    _HANGING
    + "!?\u00a1\u00bf\u00ab\u2018\u203a\u2039\u2022\u25e6\u2023\u203d\u2013\u2014\u2015\u2012"
    "\u2047\u2048\u2049\u2753\u2754\u2755\u2757\uff08\u3008\u300a\u300c\u300e\u3010"
    "\u060c\u061b\u061f\u3001\uff0c\uff1b\uff1a\uff1f\uff01\ufe50\ufe54\ufe55\ufe56\ufe57"
)
"""Marks that say nothing where they stand apart: they belong to a word, or to what follows."""
_CLOSING = {
    ")": "([", "]": "[(", "}": "{", ">": "<|", "\u00bb": "\u00ab",
    "\u201d": "\u201c\u201e", "\u201c": "\u201e", "\u2019": "\u2018",
    "\uff09": "\uff08", "\u3009": "\u3008", "\u300b": "\u300a", "\u300d": "\u300c",
    "\u300f": "\u300e", "\u3011": "\u3010",
}  # fmt: skip
"""Marks, and what each of them closes."""
_QUOTES = "\"'"
_SIGNS = "+-*/~#=&^_|\\`@"
"""Each can be a word of its own, as in "O -" and `import *`: filler only in a line without a word,
or where there are many."""
_PAIRED = "*_~|`"
"""Signs that close what they opened."""
_MARKUP = (" **", " __", " ~~")
_WHITE = "".join(filter(str.isspace, map(chr, range(0x3001))))
_BLANKS = re.compile(r"\s{3,}")
_LEADERS = re.compile(rf"(?:[{_DOTS}]\s{{0,4}}){{4,}}")
_MARKS = _DOTS + _APART + "".join(_CLOSING) + _QUOTES + _SIGNS
_TWO_STOPS = re.compile(rf"(?<=\w)([{_DOTS}])[{_DOTS}]\Z")
_NOTHING_SAID = re.compile(
    r"(?P<word>[^\"]*[\w.!?])\"\"|(?P<words>[^\u201c]*[\w.!?])\u201c\u201d", re.DOTALL
)


def without_filler(answer: str) -> tuple[str, bool]:
    """The answer with little white space and few marks, and whether that changes it.

    Within a line three blanks or more are one, and none at its end; lines are indented by at most
    32, and at most two of them are left empty between others. Four dots or more are three. White
    space around the answer is taken off when it is read, and is no change.

    Behind the last word a full stop stands close to it, two are one, and other marks that stand
    apart, as in "13 ?", are none, unless they close what the text has opened. So are three marks or
    more which something has to follow, as commas and opening brackets, and a pair of quotes without
    anything between.
    """
    text = answer.strip()
    inked = text if text.isascii() else text.translate(_UNSEEN).strip()
    short = _BLANKS.sub(_fewer, inked)
    short = _LEADERS.sub(_three, short)
    short = _ending(short)
    return (answer, False) if short == text else (short, True)


def _fewer(run: re.Match[str]) -> str:
    blanks = run[0]
    lines = re.split(r"[\n\v\f\x1c-\x1e\x85\u2028\u2029]", blanks)
    if len(lines) == 1:
        return blanks[0]
    before = lines[0] if len(lines[0]) < 3 else ""
    return before + "\n" * min(len(lines) - 1, 3) + lines[-1][:_INDENTATION]


def _three(dots: re.Match[str]) -> str:
    """Three dots, and the white space behind them."""
    return "..." + dots[0][len(dots[0].rstrip()) :]


def _ending(text: str) -> str:
    """With the marks behind the last word that say something, and full stops close to it."""
    kept = text.rstrip(_HANGING + _WHITE)
    if sum(map(text[len(kept) :].count, _HANGING)) >= 3:
        text = kept
    if said := _NOTHING_SAID.fullmatch(text):
        text = said["word"] or said["words"]
    word = text.rstrip(_MARKS + _WHITE)
    close = len(word) + len(re.split(r"\s", text[len(word) :], maxsplit=1)[0])
    if word and close < len(text):
        end, dots = _apart(text, word, close)
        text = text[:end] if text[end - 1] in _APART else text[:end] + dots
        text = _LEADERS.sub(_three, text)
    return _TWO_STOPS.sub(r"\1", text)


def _apart(text: str, word: str, close: int) -> tuple[int, str]:
    """Where the last mark ends that says something, of those that stand apart behind the word and
    what is `close` to it; and the full stops behind."""
    left = Counter(text)
    paired = {sign for sign in _PAIRED if sign in word}
    many = sum(map(text[close:].count, _SIGNS)) >= 3 or text.endswith(_MARKUP)
    line = text.find("\n", close)
    dots: list[str] = []
    end, behind = len(text), 0
    for at in range(len(text) - 1, close - 1, -1):
        mark = text[at]
        if mark.isspace():
            end, behind = at, len(dots)
        elif mark in _DOTS:
            dots.append(mark)
        elif mark not in _APART:
            if mark in _CLOSING:
                says = sum(left[opens] for opens in _CLOSING[mark]) >= left[mark]
            elif mark in _QUOTES:
                says = left[mark] % 2 == 0
            else:
                says = mark in paired or not (many or 0 < line < at)
            if says:
                return end, "".join(reversed(dots[:behind]))
        left[mark] -= 1
    return close, "".join(reversed(dots))
