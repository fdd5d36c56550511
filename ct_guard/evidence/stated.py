"""What the answering model states of itself: a column, or a sentence of the answer.

Models that are asked for it write "Confidence: 85%", "I am 90% sure", "Probability: 0.7" or
"Confidence: high". It is read, and taken out of the text that is judged.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ct_guard.errors import InputError

from .answers import Answers
from .columns import Unlearnt

__all__ = ["COLUMNS", "STATED", "Share", "Stated", "split_stated"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

COLUMNS = ("stated", "stated_confidence", "verbalized", "verbalised")
"""Columns that are read, the first that a file has."""
WORDS = {
    "almost certain": 0.95, "very high": 0.95, "very likely": 0.9, "highly likely": 0.9,
    "certain": 0.95, "high": 0.85, "likely": 0.75, "probable": 0.75, "medium": 0.5,
    "moderate": 0.5, "even": 0.5, "low": 0.2, "unlikely": 0.2, "very low": 0.05,
    "very unlikely": 0.05, "almost no chance": 0.05, "uncertain": 0.3, "unsure": 0.3,
}  # fmt: skip
"""A number for each word; the layer learns what it is worth."""
_NUMBER = (
    r"(?P<number>\d{1,3}(?:\.\d+|,\d{1,2})?|\.\d+)(?![\w^]|[.,]\d)"
    r"\s*(?P<percent>%|percent\b|per cent\b)?"
)
_OUT_OF = r"(?:\s*(?:/|(?:out )?of)\s*(?P<of>\d+))?"
_WORD = "(?P<word>" + "|".join(sorted(WORDS, key=len, reverse=True)) + r")\b"
_MY = r"(?:my|stated|overall|final)\s+"
_OF_WHAT = r"(?:\s+(?:score|level|rating|estimate|in\s+(?:this|my)\s+answer))?[*_\"'>]*\s*"
_NAMED = (
    rf"(?:(?:(?:{_MY})?(?:confidence|certainty)|{_MY}(?:probability|likelihood)){_OF_WHAT}(?:[:=]|\bis\b)"
    rf"|(?:probability|likelihood){_OF_WHAT}:)"
)
"""A probability "is" so much, or equals it, where it is what was asked for, too."""
_LABELLED = re.compile(
    rf"[*_\[(<\"']{{0,4}}{_NAMED}[\s*_\"']*(?:about\s+|around\s+|~\s*)?"
    rf"(?:{_NUMBER}{_OUT_OF}|{_WORD})[*_\])>\"']*\.?",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    r"\bI(?:\s+am|['\u2019]m)\s+(?:about\s+|around\s+|roughly\s+)?"
    rf"{_NUMBER}\s*(?:sure|certain|confident)\b"
    r"(?:\s(?:of|about|in|that)\s(?:this|that|it|(?:my|the|this)\s(?:answer|choice))\b)?[.!?]?",
    re.IGNORECASE,
)
_NOTHING = re.compile(r"\W*(?:the|an?)?\W*", re.IGNORECASE)
_FEWEST_PERCENT = 10
"""A larger number without a sign is in percent; up to there it may be one of ten, or of five."""


class Share(float):
    """A confidence that is in [0, 1] whatever the scale of its column."""


class Stated:
    """One number in [0, 1]."""

    name = "stated"
    features = ("stated",)

    def look(self, answers: Answers) -> Floats:
        column = next((name for name in COLUMNS if name in answers.columns), None)
        if column is None:
            return np.array([_nan(split_stated(text)[1]) for text in answers.answer])
        return _from_column(answers.columns[column], column, answers)

    def scale(self, answers: Answers) -> tuple[Bools, bool]:
        """Which numbers, shape (n,), are at most 1 and have no sign that says of what, and whether
        their column is in percent: more of its numbers are above 1 than are fractions of it."""
        column = next((name for name in COLUMNS if name in answers.columns), None)
        bare = [math.nan] * len(answers)
        if column is not None:
            bare = [_bare(value) for value in answers.columns[column]]
        numbers = np.array(bare, np.float64)
        fractions = (numbers > 0) & (numbers < 1)
        return numbers <= 1, bool((numbers > 1).sum() > fractions.sum())

    def learn(self, look: Floats, correct: NDArray[np.bool_], rows: NDArray[np.bool_]) -> Unlearnt:
        return Unlearnt()

    def read(self, look: Floats, state: Unlearnt) -> Floats:
        return look[:, None]


STATED = Stated()


def split_stated(text: str) -> tuple[str, float | None]:
    """(the answer without its statement, the confidence in [0, 1]); None where it states none, or
    nothing else. The last statement counts."""
    found = [*_LABELLED.finditer(text), *_SENTENCE.finditer(text)]
    read = [(match, value) for match in found if (value := _value(match)) is not None]
    if not read:
        return text, None
    match, value = max(read, key=lambda one: one[0].end())
    rest = text[: match.start()].rstrip() + "\n" + text[match.end() :].lstrip()
    return (text, None) if _NOTHING.fullmatch(rest) else (rest.strip(), value)


def _value(match: re.Match[str]) -> float | None:
    groups = match.groupdict()
    if groups.get("word"):
        return WORDS[groups["word"].lower()]
    number = float(groups["number"].replace(",", "."))
    if (groups["number"], groups.get("of")) == ("50", "50"):
        return 0.5
    if groups.get("of"):
        number /= max(float(groups["of"]), 1.0)
    elif groups.get("percent") or number > _FEWEST_PERCENT:
        number /= 100
    return number if 0 <= number <= 1 else None


def _from_column(values: Sequence[Any], column: str, answers: Answers) -> Floats:
    read = [_cell(value, column, answers, at) for at, value in enumerate(values)]
    return np.array(read, np.float64)


def _bare(value: Any) -> float:
    """A cell that is a number and nothing else; NaN for any other."""
    if value is None or isinstance(value, Share):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _cell(value: Any, column: str, answers: Answers, at: int) -> float:
    if value is None or value == "":
        return math.nan
    text = str(value).strip()
    known = WORDS.get(text.lower())
    if known is not None:
        return known
    percent = text.endswith("%")
    try:
        number = float(text.rstrip("% "))
    except ValueError:
        raise InputError(
            f"{answers.place(at)}: field {column!r} must be a stated confidence (0.85, 85% or a"
            f" word such as high), found {text[:40]!r}"
        ) from None
    number = number / 100 if percent or number > 1 else number
    if math.isnan(number):
        return math.nan
    if not 0 <= number <= 1:
        raise InputError(
            f"{answers.place(at)}: field {column!r} must lie between 0 and 1, or 0% and 100%,"
            f" found {text[:40]!r}"
        )
    return number


def _nan(value: float | None) -> float:
    return math.nan if value is None else value
