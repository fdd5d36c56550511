"""Texts that are near to each other: what differs in a way that may not matter."""

import re
from collections.abc import Sequence

from .normalise import contains, plain_letters, words

__all__ = ["Near", "alike"]

_SMALL = frozenset(
    ("a", "an", "the", "of", "in", "on", "at", "by", "to", "for", "from", "with", "and", "or", "is",
     "was", "it", "its", "s", "de", "la", "le", "du", "von", "van", "der")
)  # fmt: skip
_ROMAN = {"ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8", "ix": "9",
          "xi": "11", "xii": "12", "xiii": "13", "xiv": "14", "xv": "15", "xvi": "16"}  # fmt: skip
_PLACES = {"first": "1", "second": "2", "third": "3", "fourth": "4", "fifth": "5", "sixth": "6",
           "seventh": "7", "eighth": "8", "ninth": "9", "tenth": "10", "eleventh": "11",
           "twelfth": "12", "thirteenth": "13", "fourteenth": "14", "fifteenth": "15",
           "sixteenth": "16"}  # fmt: skip
_SAME = _ROMAN | _PLACES | {
    "dollars": "$", "dollar": "$", "percent": "%", "km": "kilometer", "kilometre": "kilometer",
    "kg": "kilogram", "pi": "\u03c0", "dr": "doctor", "st": "saint", "mt": "mount", "us": "usa",
}  # fmt: skip
_ENDINGS = (
    (re.compile(r"(?<=[a-z]{3})[0-9]{1,3}\Z"), ""),  # the mark of a note: Lord12
    (re.compile(r"(?<=[0-9])(?:st|nd|rd|th)\Z"), ""),
    (re.compile(r"(?<=[a-z]{2})(?:ies)\Z"), "y"),
    (re.compile(r"(?<=[a-z]{3})(?<!s)s\Z"), ""),
    (re.compile(r"is(?=ation|ing\Z|e\Z|ed\Z)"), "iz"),
    (re.compile(r"(?<=[a-z]{2})our(?![a-z]{4})"), "or"),
)
_INITIALS = re.compile(r"(?<!\S)[^\W\d_](?: [^\W\d_])+(?!\S)")
_MOST = 2 / 3
"""Share of the words of a gold answer which leave it open whether the rest matters."""


def alike(said: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether two texts of words are one but for gaps within words, and how numbers, plurals and
    British words are written: ice cream and icecream."""
    said, wanted = _loose(said), _loose(wanted)
    return said == wanted or "".join(said) == "".join(wanted)


class Near:
    """The words of an answer, which a gold answer may be among otherwise written."""

    def __init__(self, answer: str, question: str) -> None:
        self._said = _loose(words(answer))
        self._asked = frozenset(_loose(words(question)))

    def holds(self, gold: str) -> bool:
        """Whether most of the words stand in the answer that the question does not have already, or
        all of them as one."""
        wanted = _loose(words(gold))
        if contains(self._said, wanted) or contains(self._runs(), ["".join(wanted)]):
            return True
        telling = {word for word in wanted if word not in _SMALL and word not in self._asked}
        return bool(telling) and len(telling.intersection(self._said)) >= _MOST * len(telling)

    def _runs(self) -> list[str]:
        """The words, and each two as one."""
        pairs = ["".join(pair) for pair in zip(self._said, self._said[1:], strict=False)]
        return [*self._said, *pairs]


def _loose(found: Sequence[str]) -> list[str]:
    """The words in one way of writing them, and initials as one word."""
    together = _INITIALS.sub(lambda row: row[0].replace(" ", ""), " ".join(plain_letters(found)))
    return [_one_way(word) for word in together.split(" ")] if together else []


def _one_way(word: str) -> str:
    for ending, written in _ENDINGS:
        word = ending.sub(written, word)
    return _SAME.get(word, word)
