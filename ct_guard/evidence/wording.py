"""How an answer is worded: how long it is, whether it hedges or declines, what it adds to its
question, and which of how many choices it takes.

Nothing else is read than question and answer. Models hedge and explain more where they know less;
how much more, each of them in its own way, is for the layer to learn.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from math import log1p

import numpy as np
from numpy.typing import NDArray

from .answers import Answers
from .columns import Unlearnt
from .said import added_words, letter_of
from .same_question import choices_in

__all__ = ["WORDING", "Wording"]

Floats = NDArray[np.float64]

_ENDS = re.compile(r"[.!?](?:\s|$)")
_HEDGES = re.compile(
    r"\b(?:may|might|could be|possibly|perhaps|maybe|likely|probably|believed|thought to|seems?|"
    r"generally|typically|usually|often|sometimes|depend(?:s|ing)? on|various|several|many|"
    r"approximately|around|about|however|but|although|it is (?:possible|difficult)|as of|"
    r"not (?:entirely )?(?:sure|certain|clear)|uncertain|unclear)\b"
)
"""In lower case, as the other: four times as fast as without regard to it."""
_DECLINES = re.compile(
    r"\b(?:sorry|unable to|cannot|can't|could(?: not|n't)|(?:do|does|did)(?: not|n't) (?:have|know|"
    r"find|specify|appear)|no (?:\w+ ){0,2}(?:information|record|evidence)|as an ai|"
    r"not (?:aware|available|specified|provided|possible)|more (?:context|information)|clarify)\b"
)


class Wording:
    """Every answer has it; the last two numbers only where the question lists choices."""

    name = "wording"
    features = (
        "wording_words", "wording_sentences", "wording_hedges", "wording_declines",
        "wording_added", "wording_numbers", "wording_choices", "wording_choice",
    )  # fmt: skip

    def look(self, answers: Answers) -> Floats:
        read = [
            _read(*each) for each in zip(answers.answer, answers.words, answers.asked, strict=True)
        ]
        return np.array(read, np.float64).reshape(len(answers), len(self.features))

    def learn(self, look: Floats, correct: NDArray[np.bool_], rows: NDArray[np.bool_]) -> Unlearnt:
        return Unlearnt()

    def read(self, look: Floats, state: Unlearnt) -> Floats:
        return look


WORDING = Wording()


def _read(text: str, spelled: Sequence[str], asked: str) -> tuple[float, ...]:
    choices = choices_in(asked)
    letter = letter_of(text, choices) if choices else None
    lower = text.lower()
    return (
        log1p(len(spelled)),
        log1p(len(_ENDS.findall(text))),
        log1p(len(_HEDGES.findall(lower))),
        log1p(len(_DECLINES.findall(lower))),
        len(added_words(spelled, asked)) / max(len(spelled), 1),
        log1p(sum(map(_has_digit, spelled))),
        len(choices) if choices else np.nan,
        ord(letter) - ord("a") if letter else np.nan,
    )


@lru_cache(maxsize=1 << 15)
def _has_digit(word: str) -> bool:
    return any(map(str.isdecimal, word))
