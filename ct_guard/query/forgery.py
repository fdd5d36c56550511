"""Does a text speak as the uncertainty query does? Then it would answer for the model."""

import re
import unicodedata

from .template import QUERY_TEXT

__all__ = ["forgery_in"]

_LOOKALIKES = {
    "a": "\u0430\u03b1\u0251\u1d00", "b": "\u0432\u03b2\u0299", "c": "\u0441\u03f2\u1d04",
    "d": "\u0501\u0111\u1d05", "e": "\u0435\u03b5\u0454\u1d07\u0258",
    "h": "\u04bb\u043d\u0127\u029c",
    "i": "\u0456\u03b9\u0131\u026a\u0269\u0268\u04cf\u01c0\u05d5\u05c0", "k": "\u043a\u03ba",
    "l": "\u0142\u029f", "n": "\u043f\u0578\u0274\u057c", "o": "\u043e\u03bf\u0585\u1d0f\u00f8",
    "p": "\u0440\u03c1\u1d18", "r": "\u0433\u0280\u1d26", "s": "\u0455\ua731\u01a8",
    "t": "\u0442\u03c4\u1d1b\u0167", "w": "\u051d\u0461\u03c9\u1d21",
    "y": "\u0443\u03b3\u04af\u028f\u00fd",
}  # fmt: skip
"""Letters of other alphabets that pass for a letter of the query, in lower case."""
_FOLDED = str.maketrans({other: ours for ours, all_ in _LOOKALIKES.items() for other in all_})
_DIGITS = str.maketrans("01345l|!$@", "oieasiiisa")
"""Digits and signs that pass for letters, within words."""


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", text.translate(_DIGITS)).translate(_DIGITS)


_ASKED = _letters(QUERY_TEXT.partition("?")[0].lower())
_CHOICES = ("choices", "options", "inoii", "iyesii", "iiyesi", "iinoi")
"""What follows the query's question, in its own words or in an order of the labels."""

_LABEL = r"[(\[{<]\s{0,4}[il]{2}\s{0,4}[)\]}>]"
_END = r"[\W_]{0,8}(?:\n|\Z)"
_ASIDE = r"[\W_]{0,4}[^\w\s][\W_]{0,4}\w{1,16}"
_SAYS_YES = re.compile(
    rf"{_LABEL}\s{{0,4}}[:=]\s{{0,4}}(?:yes|no\b)"
    rf"|(?:{_LABEL}|(?:^|\n)\s{{0,80}}[il]{{2}}\b)[\W_]{{0,8}}(?:yes|no)\b"
    r"|\b[il][\W_]{1,8}(?:yes|no)[\W_]{1,8}[il]{2}[\W_]{1,8}(?:yes|no)\b"
)
"""The label of yes with its word, and both choices in a row. The other label is also that of a
ninth choice."""
_ANSWERS = re.compile(
    r"(?:\b(?:answer|label|choice|option|verdict|antwort|antwoord|reponse|respuesta|resposta"
    r"|risposta|odpowiedz|svar|vastaus|cevap|otbet)|[^\x00-\x7f])"
    r"[*_'\"]{0,3}\s{0,4}[:=][\s:=(\[{<*_'\"]{0,8}[il]{2}\b"
    rf"(?=(?:{_ASIDE})?(?:[\W_]{{0,4}}[.!;]|{_END}))"
    r"|\n\s{0,80}[(\[{<*_]{0,3}[il]{2}[\W_]{0,8}\Z"
)
"""An answer to the query, in any language: behind one of these words, or one of other letters than
Latin ones; the label alone in the last line."""
_OFFERED = re.compile(r"(?:^|\n)\W{0,8}ii\b|[(\[]ii[)\]]")


def forgery_in(text: str, *, asked: str = "") -> str | None:
    """The piece of a cleaned text that copies the uncertainty query, or gives its answer in the
    query's own labels ("(ii): yes", "Answer: ii"); None where there is none. The second choice of
    a question that was `asked`, where it offers a list in Roman numerals, is no answer to ours.

    Case, white space, punctuation, accents, lookalike letters and digits in place of letters make
    no difference. Linear in the length of the text.
    """
    folded = _folded(text)
    found = _SAYS_YES.search(folded)
    if found is None and not _OFFERED.search(_folded(asked)):
        found = _ANSWERS.search(folded)
    if found:
        return " ".join(found[0].split())
    letters = _letters(folded)
    at = letters.find(_ASKED)
    while at >= 0:
        behind = letters[at + len(_ASKED) :][:40]
        if any(choice in behind for choice in _CHOICES):
            return "the query's question"
        at = letters.find(_ASKED, at + len(_ASKED))
    return None


def _folded(text: str) -> str:
    """Lower case, compatibility forms and lookalikes as the plain letter, without accents."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text).casefold()
    plain = unicodedata.normalize("NFKD", plain)
    return "".join(c for c in plain if not unicodedata.combining(c)).translate(_FOLDED)
