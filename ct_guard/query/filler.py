"""Blanks, dots and marks that say nothing, but move a score: read as the little that they are."""

import re

__all__ = ["without_filler"]

_UNSEEN = str.maketrans(dict.fromkeys("\u115f\u1160\u2800\u3164\uffa0", " "))
"""Letters and symbols without any ink."""

_INDENTATION = 32
_DOTS = ".\u2026\u00b7\u2024\u2025\u3002\ufe52\uff0e\uff61"
_HANGING = ",;:([{<"
"""Marks that something has to follow."""
_WHITE = "".join(filter(str.isspace, map(chr, range(0x3001))))
_BLANKS = re.compile(r"\s{3,}")
_LEADERS = re.compile(rf"(?:[{_DOTS}]\s{{0,4}}){{4,}}")


def without_filler(answer: str) -> tuple[str, bool]:
    """The answer with little white space and few dots, and whether that changes it.

    Within a line three blanks or more are one, and none at its end; lines are indented by at most
    32, and at most two of them are left empty between others. Four dots or more are three. Behind
    the last word no blank stands before a full stop or comma. White space around the answer is
    taken off when it is read, and is no change. Three marks or more behind the last word, which
    something has to follow, as commas and opening brackets, are none.
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
    """Without marks that hang behind the last word; the others close to it, where blanks stood
    before a full stop."""
    kept = text.rstrip(_HANGING + _WHITE)
    if sum(map(text[len(kept) :].count, _HANGING)) >= 3:
        text = kept
    tail = _last_marks(text)
    if not re.search(rf"\s[{_DOTS},]", tail):
        return text
    close = re.sub(r"\s+", "", tail)
    return text[: len(text) - len(tail)] + _LEADERS.sub(_three, close)


def _last_marks(text: str) -> str:
    word = len(text.rstrip(f"{_DOTS} \t\n\r\f\v,;:!?\u00a0\u3000"))
    return text[word:]
