"""Gold inside the answer: for answers in sentences."""

import re
from collections.abc import Sequence

from ct_guard.datasets.questions import Question

from .base import Grade, GradesAlone
from .dates import day_named, sole_date
from .denials import taken_back
from .doubts import is_doubted, is_refuted
from .near import Near
from .normalise import contains, plain_letters, words

__all__ = ["Substring"]

_YES_OR_NO = frozenset(("yes", "no", "true", "false"))
_VERDICTS = [[word] for word in _YES_OR_NO]
_CAPITALISED = r"[A-Z\u00c0-\u00de][\w.'\u2019-]*"
_NAME = rf"(?:[Tt]he\s)?{_CAPITALISED}(?:\s(?:of|de|{_CAPITALISED})){{0,4}}"
_NAMES_ALONE = re.compile(
    r"(?:(?:I (?:think|believe|guess)(?: that)? )?(?:it is |it['\u2019]s |It is |It['\u2019]s ))?"
    rf"({_NAME})((?:,\s{_NAME}){{0,4}}),?\sor\s({_NAME})\s?[.?!]?"
)
"""Two or more names and nothing else, which is all that tells candidates from two names of one
thing: in sentences "or" stands before the latter far more often."""
_LONGEST_NAMES = 160


class Substring(GradesAlone):
    """Right where the words of a gold answer stand side by side in the answer, normalised: whole
    words, so that 1 is not found in 12, and with accents or without. Unclear where each of these
    places is denied ("Lyon, not Paris", "Paris is wrong"), taken back ("Paris. Wait, Lyon") or one
    of two ("maybe Paris or Lyon"; "Paris or Lyon" and no more); and yes or no where the answer
    holds both, or no as part of another phrase ("no idea")."""

    name = "substring"

    def grade_one(self, answer: str, question: Question) -> Grade:
        said = words(answer)
        behind = words(taken_back(answer))
        unsure = None
        are_candidates = _are_candidates(answer, question.gold)
        for gold in question.gold:
            wanted = words(gold)
            if not wanted:
                if gold.strip() in answer:
                    return Grade(True, f"holds {gold!r}")
                continue
            for text, searched in ((said, wanted), (plain_letters(said), plain_letters(wanted))):
                if not contains(text, searched):
                    continue
                kept = not behind or contains(behind, wanted)
                if kept and not are_candidates and not is_doubted(text, searched):
                    return Grade(True, f"holds {gold!r}")
                unsure = Grade(None, f"holds {gold!r} to deny it, or as one of two")
        return unsure or _otherwise(answer, question)


def _otherwise(answer: str, question: Question) -> Grade:
    """Of an answer that holds no gold answer as it is written there."""
    near = Near(answer, question.text)
    unsure = None
    for gold in question.gold:
        date = sole_date(gold)
        if date and (named := day_named(answer, date)):
            what, day = named
            around = words(answer[: day.start]), words(answer[day.end :])
            if what == "same" and not is_refuted(*around) and not taken_back(answer):
                return Grade(True, f"names the day {gold!r}")
            if what != "other":
                unsure = Grade(None, f"names what can be {gold!r}")
        elif words(gold) in _VERDICTS and _YES_OR_NO.isdisjoint(words(answer)):
            return Grade(None, "says neither yes nor no")
        elif near.holds(gold):
            unsure = Grade(None, f"holds most of {gold!r}, or holds it otherwise")
    return unsure or Grade(False, "holds none of the gold answers")


def _are_candidates(answer: str, golds: Sequence[str]) -> bool:
    """Whether an answer is nothing but names with "or" between them, which have no word in common
    and of which one is no gold answer."""
    answer = answer.strip()
    found = _NAMES_ALONE.fullmatch(answer) if len(answer) <= _LONGEST_NAMES else None
    if found is None:
        return False
    names = [words(name) for name in (found[1], *found[2].split(",")[1:], found[3])]
    wanted = [words(gold) for gold in golds]
    several = [word for name in names for word in set(name)]
    whole = words(answer)
    return (
        len(several) == len(set(several))
        and whole not in wanted
        and not all(any(contains(name, gold) for gold in wanted if gold) for name in names)
    )
