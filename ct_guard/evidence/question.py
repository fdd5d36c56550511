"""What is asked: graded rows say which kinds of question are answered well (`question_prior`)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .answers import Answers
from .question_prior import QuestionPrior, fit_question_prior

__all__ = ["QUESTION", "Question"]

Floats = NDArray[np.float64]


class Question:
    """One number, which every answer has: the logit of being right by the question's text alone."""

    name = "question"
    features = ("question",)

    def look(self, answers: Answers) -> Sequence[str]:
        return answers.asked

    def learn(
        self, look: Sequence[str], correct: NDArray[np.bool_], rows: NDArray[np.bool_]
    ) -> QuestionPrior:
        return fit_question_prior([look[at] for at in np.flatnonzero(rows).tolist()], correct[rows])

    def read(self, look: Sequence[str], state: QuestionPrior) -> Floats:
        return state.logits(look)[:, None]


QUESTION = Question()
