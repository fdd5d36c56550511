"""What an answer says, so that it can be compared with another: a key that equal answers share, and
the content words that it adds to its question."""

import re
from dataclasses import dataclass
from functools import lru_cache

from ct_guard.datasets.graders.letters import leading_letter, sole_letter
from ct_guard.datasets.graders.multiple_choice import meant
from ct_guard.datasets.graders.normalise import words
from ct_guard.datasets.graders.numeric import last_number

from .same_question import choices_in

__all__ = ["Said", "said"]

_VERDICTS = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_FINAL_NUMBER = re.compile(
    r"####|\\boxed|(?i:<answer>|final answer)|(?:^|\n)\s*A:\s*[^\w\n]{0,3}[0-9][^\n]*\s*\Z"
)
"""Where a long answer says which number is its answer."""
_SHORT = 6
"""Words up to which an answer that holds a number is that number."""
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
    """`key` is equal for answers that say the same; `words` are those that the question lacks, None
    where the key says everything (a letter, a number, yes or no)."""

    key: str
    words: frozenset[str] | None = None


def said(answer: str, question: str) -> Said:
    """By the graders' own readings: the letter of a choice, yes or no, a number, else the
    normalised text with its content words."""
    choices = choices_in(question)
    if choices:
        letter = _letter(answer, choices)
        if letter is not None:
            return Said(f"({letter})")
    spelled = words(answer)
    if spelled and spelled[0] in _VERDICTS:
        return Said(_VERDICTS[spelled[0]])
    if _FINAL_NUMBER.search(answer) or (
        0 < len(spelled) <= _SHORT and any(map(str.isdecimal, spelled))
    ):
        number = last_number(answer) if _FINAL_NUMBER.search(answer) else _whole_number(spelled)
        if number is not None:
            return Said(f"={number}")
    added = frozenset(spelled) - _asked_words(question) - _FUNCTION_WORDS
    return Said(" ".join(spelled), added or frozenset(spelled))


def _letter(answer: str, choices: tuple[str, ...]) -> str | None:
    letters = frozenset("abcdefghijklmnopqrstuvwxyz"[: len(choices)])
    leading = leading_letter(answer, letters)
    if leading is not None:
        return leading[0]
    alone = sole_letter(answer)
    if alone is not None and alone in letters:
        return alone
    found = meant(answer, choices)
    return min(found) if len(found) == 1 else None


def _whole_number(spelled: list[str]) -> str | None:
    """The number that a text of nothing else is, with a unit at most."""
    numbers = [word for word in spelled if re.fullmatch(r"-?[0-9]+(?:\.[0-9]+)?", word)]
    return numbers[0] if len(numbers) == 1 and len(spelled) <= 2 else None


@lru_cache(maxsize=1 << 14)
def _asked_words(question: str) -> frozenset[str]:
    return frozenset(words(question))
