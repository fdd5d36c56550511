"""Multiple choice: which of the choices an answer means."""

import re
from string import ascii_lowercase

from ct_guard.datasets.questions import Question

from .base import Grade, GradesAlone
from .normalise import contains, words

__all__ = ["MultipleChoice"]

_ALONE = re.compile(r"\W*([A-Za-z])\W*")
_LEADING = re.compile(r"\s*\(?([A-Za-z])\s*[).:]\s*(?=\S)")
_NAMED = re.compile(
    r"\b[Aa]nswer\b\W{0,8}(?:is|would be)?\W{0,8}?"
    r"(?:\(([A-Za-z])\)|\b([B-HJ-Z])\b(?!')|\b([AI])\b(?!'|\s+\w))"  # "A cat" names no letter
)
_MANY = tuple(ascii_lowercase)


class MultipleChoice(GradesAlone):
    """Right where answer and gold mean the same choice, each by its letter ("B", "(b) Paris",
    "the answer is B") or by its text. An answer that means no choice, or more than one, is
    unclear."""

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
    letters = dict(zip(_MANY, choices, strict=False)) if choices else dict.fromkeys(_MANY, "")
    texts = {letter: words(choice) for letter, choice in letters.items()}
    if whole := {letter for letter, choice in texts.items() if choice and choice == words(text)}:
        alone = _ALONE.fullmatch(text)
        return whole | ({alone[1].lower()} & letters.keys() if alone else set())
    for found in (_ALONE.fullmatch(text), _LEADING.match(text), _NAMED.search(text)):
        letter = (found[1] or found[found.lastindex or 1]).lower() if found else ""
        if found and letter in letters:
            rest = text[found.end() :]
            return {letter} | {at for at, choice in texts.items() if choice == words(rest) != []}
    held = {letter for letter, choice in texts.items() if choice and contains(words(text), choice)}
    return {
        letter
        for letter in held
        if not any(_is_part(texts[letter], texts[other]) for other in held - {letter})
    }


def _is_part(choice: list[str], other: list[str]) -> bool:
    return choice != other and contains(other, choice)
