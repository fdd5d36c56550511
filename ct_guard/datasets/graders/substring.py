"""Gold inside the answer: for answers in sentences."""

from collections.abc import Sequence

from ct_guard.datasets.questions import Question

from .base import Grade, GradesAlone
from .normalise import contains, plain_letters, words

__all__ = ["Substring"]

_DENIALS = frozenset(
    ("not", "never", "neither", "nor", "isnt", "wasnt", "arent", "werent", "except")
)  # fmt: skip
_BETWEEN = frozenset(
    ("a", "an", "the", "in", "by", "at", "of", "from", "to", "on", "be", "is", "was", "even")
)  # fmt: skip


class Substring(GradesAlone):
    """Right where the words of a gold answer stand side by side in the answer, normalised: whole
    words, so that 1 is not found in 12, and with accents or without. Unclear where each of these
    places is denied ("Lyon, not Paris") or one of two ("either Paris or Lyon")."""

    name = "substring"

    def grade_one(self, answer: str, question: Question) -> Grade:
        said = words(answer)
        unsure = None
        for gold in question.gold:
            wanted = words(gold)
            if not wanted:
                if gold.strip() in answer:
                    return Grade(True, f"holds {gold!r}")
                continue
            for text, searched in ((said, wanted), (plain_letters(said), plain_letters(wanted))):
                if not contains(text, searched):
                    continue
                if not _is_doubted(text, searched):
                    return Grade(True, f"holds {gold!r}")
                unsure = Grade(None, f"holds {gold!r} to deny it, or as one of two")
        return unsure or Grade(False, "holds none of the gold answers")


def _is_doubted(said: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether at every place of the words a denial stands right before them, or they are a half of
    "either … or …"."""
    size = len(wanted)
    places = [at for at in range(len(said) - size + 1) if said[at : at + size] == wanted]
    return all(_denied(said[:at]) or _one_of_two(said, at, at + size) for at in places)


def _denied(before: Sequence[str]) -> bool:
    word = next((word for word in reversed(before[-4:]) if word not in _BETWEEN), "")
    return word in _DENIALS


def _one_of_two(said: Sequence[str], start: int, end: int) -> bool:
    near = said[max(0, start - 8) : start]
    if "either" not in near:
        return False
    return "or" in near[len(near) - 1 - near[::-1].index("either") :] or "or" in said[end : end + 2]
