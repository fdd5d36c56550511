"""What an answer says, so that it can be compared with another: a key that equal answers share, and
the content words that it adds to its question."""

import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ct_guard.datasets.graders.letters import leading_letter, sole_letter
from ct_guard.datasets.graders.multiple_choice import meant
from ct_guard.datasets.graders.normalise import words
from ct_guard.datasets.graders.numeric import last_number

from .same_question import choices_in

__all__ = ["Said", "added_words", "in_one_form", "letter_of", "said", "triples"]

_VERDICTS = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_FINAL_NUMBER = re.compile(
    r"####|\\boxed|(?i:<answer>|final answer)|(?:^|\n)\s*A:\s*[^\w\n]{0,3}[0-9][^\n]*\s*\Z"
)
"""Where a long answer says which number is its answer."""
_SHORT = 6
"""Words up to which an answer that holds a number is that number."""
_HEAD = 12
"""Words that an answer adds first: as many as say it, before it goes on to other things."""
_NAME = re.compile(r"\b[A-Z][\w'\u2019-]*|-?[0-9](?:[0-9.,]*[0-9])?")
_FUNCTION_WORDS = frozenset(
    word
    for line in (
        "of in on at by for to from with as is are was were be been being am do does did has have",
        "had and or but not no it its this that these those he she they them his her their i you",
        "we who what which when where why how there here than then so if also such into about over",
        "after before between during through can could would will should may might must answer",
    )
    for word in line.split()
)


@dataclass(frozen=True, slots=True)
class Said:
    """`key` is equal for answers that say the same."""

    key: str
    words: frozenset[str] | None = None
    """Those that the question lacks, in one form; None where the key says everything (a letter, a
    number, yes or no)."""
    head: frozenset[str] = frozenset()
    """Of these, the ones that the answer begins with."""
    named: frozenset[str] = frozenset()
    """Of these, names and numbers; none where the answer knows no capitals."""
    spelled: tuple[str, ...] = ()
    """All words of the answer, where there are `words`."""


def said(answer: str, question: str, spelled: Sequence[str]) -> Said:
    """By the graders' own readings: the letter of a choice, yes or no, a number, else the
    normalised text with its content words. `spelled` are the answer's words, in one spelling."""
    choices = choices_in(question)
    if choices:
        letter = letter_of(answer, choices)
        if letter is not None:
            return Said(f"({letter})")
    if spelled and spelled[0] in _VERDICTS:
        return Said(_VERDICTS[spelled[0]])
    if _FINAL_NUMBER.search(answer):
        number = last_number(answer)
        if number is not None:
            return Said(f"={number}")
    elif 0 < len(spelled) <= _SHORT and any(map(str.isdecimal, spelled)):
        whole = _whole_number(spelled)
        if whole is not None:  # a sentence that holds it says the same
            alone = frozenset({whole})
            return Said(f"={whole}", alone, alone, alone, (whole,))
    added = added_words(spelled, question) or list(map(_in_one_form, spelled))
    names = frozenset(name for found in _NAME.findall(answer) for name in _words_of(found))
    return Said(
        key=" ".join(spelled),
        words=frozenset(added),
        head=frozenset(added[:_HEAD]),
        named=names.intersection(added),
        spelled=tuple(spelled),
    )


def added_words(spelled: Sequence[str], question: str) -> list[str]:
    """Of an answer's words (`normalise.words`), those that say more than the question, in order and
    in one form."""
    asked = _asked_words(question)
    return [
        word
        for word in map(_in_one_form, spelled)
        if word not in asked and word not in _FUNCTION_WORDS
    ]


@lru_cache(maxsize=1 << 15)
def _words_of(name: str) -> tuple[str, ...]:
    return tuple(map(_in_one_form, words(name)))


@lru_cache(maxsize=1 << 9)
def in_one_form(spelled: tuple[str, ...]) -> frozenset[str]:
    """The words of an answer without accents and plurals. Kept for as long as the other answers to
    its question are compared, as `triples`: those of many answers would not fit into memory."""
    return frozenset(map(_in_one_form, spelled))


@lru_cache(maxsize=1 << 9)
def triples(words: frozenset[str]) -> frozenset[str]:
    """Every three letters in a row of these words, whose ends count as letters."""
    return frozenset().union(*map(_triples_of, words))


@lru_cache(maxsize=1 << 15)
def _triples_of(word: str) -> frozenset[str]:
    ended = f" {word} "
    return frozenset(sys.intern(ended[at : at + 3]) for at in range(len(ended) - 2))


@lru_cache(maxsize=1 << 15)
def _in_one_form(word: str) -> str:
    """Without accents and the ending of a plural."""
    if not word.isascii():
        apart = unicodedata.normalize("NFD", word)
        bare = "".join(letter for letter in apart if not unicodedata.combining(letter))
        word = unicodedata.normalize("NFC", bare)
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and word[-2] != "s":
        word = word[:-1]
    return sys.intern(word)


def letter_of(answer: str, choices: tuple[str, ...]) -> str | None:
    """The letter of the choice that an answer takes; None where it takes none, or several."""
    letters = frozenset("abcdefghijklmnopqrstuvwxyz"[: len(choices)])
    leading = leading_letter(answer, letters)
    if leading is not None:
        return leading[0]
    alone = sole_letter(answer)
    if alone is not None and alone in letters:
        return alone
    found = meant(answer, choices)
    return min(found) if len(found) == 1 else None


def _whole_number(spelled: Sequence[str]) -> str | None:
    """The number that a text of nothing else is, with a unit at most."""
    numbers = [word for word in spelled if re.fullmatch(r"-?[0-9]+(?:\.[0-9]+)?", word)]
    return numbers[0] if len(numbers) == 1 and len(spelled) <= 2 else None


@lru_cache(maxsize=1 << 14)
def _asked_words(question: str) -> frozenset[str]:
    return frozenset(map(_in_one_form, words(question)))
