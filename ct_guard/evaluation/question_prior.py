"""The question prior beside an evaluation: how well can correctness be guessed from the question
alone? The model is `evidence.question_prior`; here it guesses rows that it was not fitted on.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.calibration.folds import folds_by_question
from ct_guard.errors import UsageError
from ct_guard.evidence.question_prior import fit_question_prior

__all__ = ["cross_fitted_prior", "question_prior"]

Floats = NDArray[np.float64]


def question_prior(
    train_questions: Sequence[str], train_correct: ArrayLike, questions: Sequence[str]
) -> Floats:
    """P(correct) of each of `questions`, guessed from its text.

    Args:
        train_questions: n texts; a question with several graded answers stands there as often.
        train_correct: boolean, shape (n,): whether the answer was right.
        questions: m texts, none of them among `train_questions` if the result is to be honest.

    Returns:
        Shape (m,), in (0, 1). The base rate throughout where the labels are all alike.

    Raises:
        UsageError: no training rows, or lengths that differ.
    """
    return np.asarray(expit(fit_question_prior(train_questions, train_correct).logits(questions)))


def cross_fitted_prior(
    questions: Sequence[str], correct: ArrayLike, groups: ArrayLike, *, folds: int = 5
) -> Floats:
    """The question prior of a file's own rows: each row is guessed from rows of other questions.

    Args:
        questions: n texts.
        correct: boolean, shape (n,).
        groups: shape (n,), integers or strings; rows with equal values are never split.
        folds: at most this many.

    Returns:
        Shape (n,), in (0, 1).

    Raises:
        UsageError: lengths that differ; fewer than two groups, right answers or wrong answers.
    """
    labels, codes = np.asarray(correct, dtype=np.bool_), np.asarray(groups)
    if not labels.shape == codes.shape == (len(questions),):
        raise UsageError(
            f"correct and groups must have shape ({len(questions)},), "
            f"not {labels.shape} and {codes.shape}"
        )
    p = np.empty(len(questions))
    for fitted, held_out in folds_by_question(labels, codes, folds=folds):
        p[held_out] = question_prior(
            [questions[at] for at in fitted], labels[fitted], [questions[at] for at in held_out]
        )
    return p
