"""Text without what does not matter to its meaning: case, articles, punctuation, how numbers are
written."""

import re
import unicodedata
from collections.abc import Sequence

from ct_guard.query import clean

__all__ = ["TENS", "UNITS", "contains", "normalise", "plain_letters", "words"]

_ARTICLES = frozenset({"a", "an", "the"})
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
)
UNITS = {word: value for value, word in enumerate(_SMALL.split())}
TENS = {
    word: 10 * value
    for value, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2
    )
}
_NAMES = UNITS.keys() | TENS.keys()
_ONE_SPELLING = str.maketrans({"\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2019": "'"})
_TOKEN = re.compile(
    r"(?:(?<![\w.)])-)?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
    r"|(?<!\w)[^\W\d_]{1,2}-(?![\w-])|\w+(?:'\w+)*(?:[+#]+(?!\w))?"
)
"""A number (with a sign that follows no other word, digit groups, decimals), or a word, which
keeps the marks that tell C++ and C# from C, and A- from A. Only a number begins with a sign or such
a digit."""
_WITHOUT_STROKE = str.maketrans({"\u0142": "l", "\u00f8": "o", "\u0111": "d", "\u0131": "i"})
"""Letters whose mark Unicode does not take apart."""
_MARKS = re.compile(r"(?<=[a-z])[\u0300-\u036f]+")
_NUMBER_BEGINS = frozenset("-0123456789")


def normalise(text: str) -> str:
    """The words of `text` that carry meaning, in one spelling; the same again for its own result.

    Lower case, NFKC; articles in front of a word (but not of a letter) dropped; 1,000 as 1000, 12.0
    as 12 and twelve as 12, 12km as 12 km, while leading zeros stay. Empty where the text has no
    word.
    """
    return " ".join(words(text))


def words(text: str) -> list[str]:
    """As `normalise`, word by word."""
    found = list(map(_spelled, _TOKEN.findall(_folded(text))))
    kept: list[str] = []
    for word in reversed(found):
        if not (word in _ARTICLES and kept and _can_follow_article(kept[-1])):
            kept.append(word)
    return _in_digits(kept[::-1])


def contains(said: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the words `wanted` stand side by side in `said`; nothing is in everything."""
    size = len(wanted)
    return any(said[at : at + size] == wanted for at in range(len(said) - size + 1))


def plain_letters(found: Sequence[str]) -> list[str]:
    """Words without the marks on their Latin letters: zurich for zürich."""
    return [
        word
        if word.isascii()
        else unicodedata.normalize(
            "NFC", _MARKS.sub("", unicodedata.normalize("NFD", word.translate(_WITHOUT_STROKE)))
        )
        for word in found
    ]


def _can_follow_article(word: str) -> bool:
    """Letters that are spelled out, as in "m a s", have no articles between them."""
    return len(word) > 1 or not word.isalpha()


def _folded(text: str) -> str:
    text, _ = clean(text)
    if text.isascii():
        return text.lower()  # all that the steps below do to it
    for _ in range(2):  # the normal form can bring capitals, and folding can undo the normal form
        text = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", text).translate(_ONE_SPELLING).replace("i\u0307", "i")


def _spelled(token: str) -> str:
    if token[0] not in _NUMBER_BEGINS:
        return token.replace("'", "") if "'" in token else token
    digits = token.replace(",", "")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _in_digits(found: Sequence[str]) -> list[str]:
    """With the words for zero to ninety-nine in digits."""
    if _NAMES.isdisjoint(found):
        return list(found)
    written: list[str] = []
    ten = 0
    for word in found:
        unit = UNITS.get(word)
        if ten and unit is not None and 1 <= unit <= 9:
            written[-1] = str(ten + unit)
            ten = 0
            continue
        ten = TENS.get(word, 0)
        number = ten or unit
        written.append(word if number is None else str(number))
    return written
