"""Gold inside the answer: for answers in sentences."""

from ct_guard.datasets.questions import Question

from .base import Grade, GradesAlone
from .normalise import contains, words

__all__ = ["Substring"]


class Substring(GradesAlone):
    """Right where the words of a gold answer stand side by side in the answer, normalised: whole
    words, so that 1 is not found in 12. An answer that names the gold to deny it passes too, which
    an audit shows."""

    name = "substring"

    def grade_one(self, answer: str, question: Question) -> Grade:
        said = words(answer)
        for gold in question.gold:
            wanted = words(gold)
            if contains(said, wanted) if wanted else gold.strip() in answer:
                return Grade(True, f"holds {gold!r}")
        return Grade(False, "holds none of the gold answers")
