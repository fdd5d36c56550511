"""Multiple choice: which of the choices an answer means."""

import re
import unicodedata
from string import ascii_lowercase

from ct_guard.datasets.questions import Question

from .base import Grade, GradesAlone
from .denials import taken_back
from .letters import (
    leading_letter,
    listed_letters,
    mentioned_letters,
    sole_letter,
    stated_letters,
)
from .normalise import contains, words

__all__ = ["MultipleChoice"]

_NOT = frozenset(
    ("not", "no", "never", "neither", "nor", "except", "isnt", "arent", "wasnt", "doesnt", "dont",
     "cannot", "cant", "wont", "didnt", "wouldnt", "fails", "lack", "hardly", "unlike", "unlikely",
     "without", "anything", "wrong", "false", "incorrect")
)  # fmt: skip
_BAD = frozenset(("wrong", "false", "incorrect", "ruled", "excluded", "eliminated"))
_WITH_TEXT = re.compile(
    r"\b(?P<letter>[A-Za-z])[)\]*]{0,3}\s?[:.)\u2013-]\s?(?P<text>[^.\n]{1,400})(?:\.|\n|\Z)"
)
_REACH = 3
"""Words before a choice's text within which a denial denies it."""
_BEHIND = 5
"""Words behind it, within which it is said to be wrong."""


class MultipleChoice(GradesAlone):
    """Right where answer and gold mean the same choice, each by its letter ("B", "(b) Paris",
    "the answer is B, as …") or by its text. An answer that means no choice, or more than one, is
    unclear, as is one that takes its choice back. A letter that is given as the answer goes before
    what its reasons mention."""

    name = "multiple_choice"

    def grade_one(self, answer: str, question: Question) -> Grade:
        golds = [meant(gold, question.choices) for gold in question.gold]
        right = set().union(*golds)
        if not right or any(len(gold) > 1 for gold in golds):
            return Grade(None, "the gold answer is not the letter or the text of one choice")
        said = meant(answer, question.choices)
        if len(said) != 1:
            return Grade(
                None, "means more than one choice" if said else "means none of the choices"
            )
        return Grade(said <= right, f"means ({min(said)}), gold ({') or ('.join(sorted(right))})")


def meant(text: str, choices: tuple[str, ...]) -> set[str]:
    """Letters of the choices that `text` can mean; without `choices`, of any letter."""
    text = unicodedata.normalize("NFKC", text)
    texts = {
        letter: words(choice) for letter, choice in zip(ascii_lowercase, choices, strict=False)
    }
    letters = texts.keys() if choices else frozenset(ascii_lowercase)
    alone, leading = sole_letter(text), leading_letter(text, letters)
    if leading and texts.get(leading[0]) == words(leading[1]):
        return {leading[0]}
    if whole := {letter for letter, choice in texts.items() if choice and choice == words(text)}:
        return whole | ({alone} & letters if alone else set())
    if alone is not None and alone in letters:
        return {alone}
    stated = stated_letters(text, letters)
    if leading:
        letter, rest = leading
        behind = words(rest)
        named = texts.get(letter, [])
        if (
            named
            and behind[: len(named)] == named
            and not _BAD.isdisjoint(behind[len(named) :][:2])
        ):
            return set()
        stated |= {
            letter,
            *(listed_letters(rest) & letters),
            *(at for at, choice in texts.items() if choice == behind != []),
            *_begun(words(text), texts),
        }
    if stated:
        stated |= _text_behind(text, stated, texts)
        return stated | mentioned_letters(taken_back(text), letters)
    return _mentioned(text, texts)


def _text_behind(text: str, stated: set[str], texts: dict[str, list[str]]) -> set[str]:
    """Choices whose text stands behind the letter of another, as in "the answer is B: Rome"."""
    found = (one for one in _WITH_TEXT.finditer(text) if one["letter"].lower() in stated)
    behind = [words(one["text"]) for one in found]
    return {letter for letter, choice in texts.items() if choice and choice in behind}


def _begun(said: list[str], texts: dict[str, list[str]]) -> set[str]:
    """Choices of several words that a text begins with: "C. difficile" is no answer (c)."""
    return {at for at, choice in texts.items() if len(choice) > 1 and said[: len(choice)] == choice}


def _mentioned(text: str, texts: dict[str, list[str]]) -> set[str]:
    """By the texts of choices alone. A letter that stands there as well can be the answer, with the
    text in its reasons; a denied choice is not meant."""
    said = words(text)
    held = {
        letter
        for letter, choice in texts.items()
        if choice and contains(said, choice) and (choice != ["no"] or "no" in (said[0], said[-1]))
    }
    held = {
        letter
        for letter in held
        if not any(_is_part(texts[letter], texts[other]) for other in held - {letter})
    }
    if len(held) == 1 and _is_denied(said, texts[min(held)]):
        return set()
    return held | mentioned_letters(text, texts.keys()) if held else set()


def _is_denied(said: list[str], choice: list[str]) -> bool:
    """Whether a denial stands before every place of the choice, or right behind it."""
    size = len(choice)
    places = [at for at in range(len(said) - size + 1) if said[at : at + size] == choice]
    return all(
        not _NOT.isdisjoint(said[max(0, at - _REACH) : at] + said[at + size : at + size + 2])
        or not _BAD.isdisjoint(said[at + size : at + size + _BEHIND])
        for at in places
    )


def _is_part(choice: list[str], other: list[str]) -> bool:
    return choice != other and contains(other, choice)
