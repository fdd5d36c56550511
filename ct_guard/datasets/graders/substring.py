"""Gold inside the answer: for answers in sentences."""

import re
from collections.abc import Sequence

from ct_guard.datasets.questions import Question

from .base import Grade, GradesAlone
from .claims import taken_back
from .normalise import contains, plain_letters, words

__all__ = ["Substring"]

_DENIALS = frozenset(
    ("not", "never", "neither", "nor", "isnt", "wasnt", "arent", "werent", "except", "cant",
     "cannot", "couldnt", "dont", "doesnt", "doubt", "than", "instead", "hardly", "unlike",
     "nowhere", "nicht", "kein", "pas", "non", "n\u00e3o", "nao", "\u043d\u0435",
     "\u4e0d\u662f")
)  # fmt: skip
_BETWEEN = frozenset(
    ("a", "an", "the", "in", "by", "at", "of", "from", "to", "on", "be", "is", "was", "even",
     "it", "its", "if", "that", "think", "believe", "know", "near", "\u00e8", "e", "\u00e9")
)  # fmt: skip
_DENYING_PAIRS = frozenset(
    (
        ("no", "longer"),
        ("anything", "but"),
        ("everything", "but"),
        ("all", "but"),
        ("no", "es"),
        ("i", "thought"),
        ("used", "to"),
    )
)
_REFUTING = frozenset(("not", "wrong", "incorrect", "false", "ruled", "excluded"))
_JUDGING = frozenset(("is", "was", "would", "can", "could", "which", "that"))
_YES_NO = frozenset(("yes", "no"))
_OPENING = frozenset(("either", "could", "might", "may", "maybe", "perhaps", "whether"))
"""Words before what may be one of several."""
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
                if kept and not are_candidates and not _is_doubted(text, searched):
                    return Grade(True, f"holds {gold!r}")
                unsure = Grade(None, f"holds {gold!r} to deny it, or as one of two")
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


def _is_doubted(said: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether at every place of the words a denial stands right before or behind them, or they are
    one of "… or …"."""
    if len(wanted) == 1 and wanted[0] in _YES_NO:
        other = min(_YES_NO - {wanted[0]})
        return other in said or (wanted == ["no"] and "no" not in (said[0], said[-1]))
    size = len(wanted)
    places = [at for at in range(len(said) - size + 1) if said[at : at + size] == wanted]
    return all(
        _denied(said[max(0, at - 4) : at])
        or _refuted(said[at + size : at + size + 4])
        or _one_of_two(said, at, at + size)
        for at in places
    )


def _denied(before: Sequence[str]) -> bool:
    end = next((at for at in range(len(before), 0, -1) if before[at - 1] not in _BETWEEN), 0)
    pairs = {tuple(before[max(0, end - 2) : end]), tuple(before[max(0, end - 1) : end + 1])}
    return not pairs.isdisjoint(_DENYING_PAIRS) or not _DENIALS.isdisjoint(before[end - 1 : end])


def _refuted(behind: Sequence[str]) -> bool:
    """Of "Paris is not", "Paris would be wrong", "Paris isn't" and "Paris? No", but not of "is not
    only"."""
    if behind[:1] in (["isnt"], ["wasnt"]) or (behind[:1] == ["no"] and behind[1:2] != ["doubt"]):
        return True
    if behind[:1] in (["is"], ["was"]):
        behind = behind[:3]
        said = not _REFUTING.isdisjoint(behind[1:2])
    else:
        said = not _JUDGING.isdisjoint(behind[:1]) and not _REFUTING.isdisjoint(behind[1:])
    return said and behind[2:3] not in (["only"], ["just"], ["merely"])


def _one_of_two(said: Sequence[str], start: int, end: int) -> bool:
    near = said[max(0, start - 8) : start]
    opening = max((at for at, word in enumerate(near) if word in _OPENING), default=None)
    return opening is not None and ("or" in near[opening:] or "or" in said[end : end + 3])
