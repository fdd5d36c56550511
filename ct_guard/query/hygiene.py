"""Text without what nobody sees, in one form; and which texts decline to answer."""

import re
from functools import lru_cache
from unicodedata import category, combining, normalize

__all__ = ["REFUSALS", "clean", "is_refusal"]

REFUSALS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(i(['\u2019]m| am) )?(really |very |so )?(sorry|afraid)\b[^.!?]*"
        r"\b(can['\u2019]?t|cannot|can not|unable|not able|do not know|don['\u2019]t know)\b",
        r"i (really |honestly )?(do not|don['\u2019]t) know\b",
        r"i (can['\u2019]?t|cannot|can not|am unable to|am not able to) "
        r"(answer|help|assist|comply|provide|say|tell)\b",
        r"i['\u2019]m (unable|not able) to\b",
        r"as an ai\b[^.!?]*\b(can['\u2019]?t|cannot|unable|not able|do not|don['\u2019]t)\b",
        r"(unknown|no answer|no idea|i have no idea|not sure|i am not sure|n/a)\W*\Z",
    )
)
"""An answer that *begins* with one of these declines to answer. Deliberately short: what it misses
is scored like any answer. Switch it off with `refusals=False` (`--no-refusals`)."""

_KEPT_CONTROLS = "\n\t"
_REMOVED = ("Cc", "Cf", "Cs")
_UNSEEN_MARKS = re.compile(
    "[\u034f\u17b4\u17b5\u180b-\u180d\u180f\ufe00-\ufe0d\U000e0100-\U000e01ef]"
    "|(?<![^\\w\\s\ufe0e\ufe0f])[\ufe0e\ufe0f](?!\u20e3)"
)
"""Marks without a shape. The selectors of a symbol's colour are kept behind a symbol, and where a
digit becomes a key."""

MOST_MARKS = 30
"""Combining marks in a row that are kept, as in Unicode's stream-safe text format (UAX 15): putting
a run of them into order takes quadratic time, during which no other thread runs."""


def clean(text: str) -> tuple[str, bool]:
    """NFC, and no control, format (zero-width, bidirectional) or surrogate characters but newline
    and tab, no marks without a shape, and at most `MOST_MARKS` combining marks in a row. Returns
    the text and whether anything but line ends changed. Linear in the length of the text."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    visible = unified.replace("\n", "").replace("\t", "")
    if visible.isascii() and visible.isprintable():
        return unified, False
    kept = unified.translate(dict.fromkeys(map(ord, _unseen(unified))))
    kept = _with_few_marks(_UNSEEN_MARKS.sub("", kept))
    cleaned = _with_few_marks(normalize("NFC", kept))  # one mark can become two
    return cleaned, cleaned != unified


def is_refusal(answer: str) -> bool:
    """Whether the answer begins with one of the patterns of `REFUSALS`."""
    start = answer.strip()[:400]
    return any(pattern.match(start) for pattern in REFUSALS)


def _unseen(text: str) -> list[str]:
    """What nobody sees, of the characters that a text is made of: few, however long it is."""
    return [c for c in set(text) if c not in _KEPT_CONTROLS and category(c) in _REMOVED]


def _with_few_marks(text: str) -> str:
    if not any(map(_is_mark, set(text))):
        return text
    kept = []
    run = 0
    for character in text:
        run = run + 1 if _is_mark(character) else 0
        if run <= MOST_MARKS:
            kept.append(character)
    return "".join(kept)


@lru_cache(maxsize=4096)
def _is_mark(character: str) -> bool:
    """Whether normal forms put it into order among its neighbours, if only once taken apart."""
    return combining(normalize("NFKD", character)[0]) > 0
