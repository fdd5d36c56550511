"""What a grader is: an answer and its question in, a verdict and its reason out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ct_guard.datasets.questions import Question
from ct_guard.query import read_answer

__all__ = ["Grade", "Grader", "GradesAlone"]


@dataclass(frozen=True)
class Grade:
    """A verdict. `correct` None is "unclear": such a row is no label, and never counts as right."""

    correct: bool | None
    reason: str
    """A few words: what matched, or what did not."""
    fields: Mapping[str, bool] | None = None
    """By path, which fields of a record are right; None: it was graded whole."""
    stop: bool = False
    """The grader itself fails and would fail on every other answer, too."""


class Grader(Protocol):
    """Says whether answers are correct."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, str | float | int | bool | None]:
        """Whatever changes its verdicts, for the manifest and the journal."""
        ...

    def grade(self, answers: Sequence[str], questions: Sequence[Question]) -> list[Grade]:
        """One grade an answer, in their order; `questions` has as many, and repeats one that has
        several answers."""
        ...


_STRUCK_OUT = re.compile(r"~~[^~\n]{1,400}~~|<(s|del|strike)>[^<\n]{0,400}</\1>", re.IGNORECASE)


class GradesAlone:
    """A grader that looks at one answer at a time, and needs no model. Subclasses say how."""

    settings: Mapping[str, str | float | int | bool | None] = {}

    def grade(self, answers: Sequence[str], questions: Sequence[Question]) -> list[Grade]:
        return [
            self.grade_one(read, _with_read_gold(question))
            if (read := _STRUCK_OUT.sub("", read_answer(answer)[0])).strip()
            else Grade(False, "the answer is empty")
            for answer, question in zip(answers, questions, strict=True)
        ]

    def grade_one(self, answer: str, question: Question) -> Grade:
        """The grade of an answer that is not empty, as it is read: without thoughts, and without
        what is struck out."""
        raise NotImplementedError


def _with_read_gold(question: Question) -> Question:
    """The question with its gold answers read as answers are, so that equal texts stay equal."""
    read = tuple(read_answer(gold)[0] or gold for gold in question.gold)
    return question if read == question.gold else replace(question, gold=read)
