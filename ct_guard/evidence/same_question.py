"""Which texts ask the same, and which choices they give."""

import re
import unicodedata
from functools import lru_cache

__all__ = ["choices_in", "spelled_alike"]

_WHITE = re.compile(r"\s+")
_CHOICE = re.compile(r"(?m)^[ \t]*\(?([A-Za-z])[).:]{1,2}[ \t]+(.*\S)[ \t]*$")


def spelled_alike(text: str) -> str:
    """One spelling for texts that differ in case, white space and Unicode form only."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _WHITE.sub(" ", folded).strip()


@lru_cache(maxsize=1 << 14)
def choices_in(question: str) -> tuple[str, ...]:
    """The choices that a question lists, a line each, lettered from a: `(a): Paris`, `B. Rome`.
    None where it lists fewer than two."""
    found = _CHOICE.findall(question)
    for begin in range(len(found) - 1, -1, -1):
        if found[begin][0].lower() != "a":
            continue
        texts = [
            text
            for at, (letter, text) in enumerate(found[begin:])
            if letter.lower() == chr(ord("a") + at)
        ]
        if len(texts) > 1 and len(texts) == len(found) - begin:
            return tuple(texts)
    return ()
