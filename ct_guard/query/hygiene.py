"""What is done to text before it is scored, and what is decided without a model."""

import re
import unicodedata

from ct_guard.records import QuestionAnswer, Status

from .template import QUERY_TEXT

__all__ = [
    "MAX_CHARACTERS",
    "REFUSALS",
    "clean",
    "is_refusal",
    "screen",
    "without_forged_query",
]

MAX_CHARACTERS = 1_000_000
"""Of all texts of one row together; above it the row is `too_long`, before tokenising."""

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

_FORGED = re.compile(
    r"\s*".join(map(re.escape, QUERY_TEXT.partition("(")[0].split())), re.IGNORECASE
)
"""The query's question and the word before its choices, in any spacing and case."""

_KEPT_CONTROLS = "\n\t"
_REMOVED = ("Cc", "Cf", "Cs")


def clean(text: str) -> tuple[str, bool]:
    """NFC, and no control, format (zero-width, bidirectional) or surrogate characters but newline
    and tab. Returns the text and whether anything but line ends changed."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    visible = unified.replace("\n", "").replace("\t", "")
    if visible.isascii() and visible.isprintable():
        return unified, False
    kept = "".join(
        c for c in unified if c in _KEPT_CONTROLS or unicodedata.category(c) not in _REMOVED
    )
    cleaned = unicodedata.normalize("NFC", kept)
    return cleaned, cleaned != unified


def without_forged_query(answer: str) -> tuple[str, bool]:
    """The answer up to where it repeats the uncertainty query, and whether it does. No honest
    answer holds that text; what stands behind it is an attempt to answer for the model."""
    found = _FORGED.search(answer)
    return (answer[: found.start()].rstrip(), True) if found else (answer, False)


def is_refusal(answer: str) -> bool:
    """Whether the answer begins with one of the patterns of `REFUSALS`."""
    start = answer.strip()[:400]
    return any(pattern.match(start) for pattern in REFUSALS)


def screen(qa: QuestionAnswer, *, refusals: bool = True) -> Status:
    """The status that needs no model: `too_long`, `empty`, `refusal`, else `ok`."""
    size = len(qa.question) + len(qa.answer) + len(qa.context or "")
    size += sum(len(message.content) for message in qa.messages)
    if size > MAX_CHARACTERS:
        return "too_long"
    answer, _ = without_forged_query(clean(qa.answer)[0])
    if not answer.strip():
        return "empty"
    if refusals and is_refusal(answer):
        return "refusal"
    return "ok"
