"""The question prior: how well can correctness be guessed from the question alone?

Gradient boosting on the question's text; it sees no model and no answer. A table of which kinds of
question are answered well reaches a high AUROC with it, so it is the floor under every claim about
an estimator.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped]
from sklearn.feature_extraction.text import CountVectorizer  # type: ignore[import-untyped]
from sklearn.feature_selection import SelectKBest, chi2  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline, make_union  # type: ignore[import-untyped]
from sklearn.preprocessing import FunctionTransformer  # type: ignore[import-untyped]

from ct_guard.calibration.folds import folds_by_question
from ct_guard.errors import UsageError

__all__ = ["cross_fitted_prior", "question_prior"]

Floats = NDArray[np.float64]

VOCABULARY = 4000
"""Most frequent n-grams that are looked at, of words and of letters each."""
KEPT = 100
"""N-grams that the trees see: those that go most with being right or wrong."""


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
    labels = np.asarray(train_correct, dtype=np.bool_)
    if labels.shape != (len(train_questions),) or not labels.size:
        raise UsageError(
            f"train_correct must have shape ({len(train_questions)},) and not be empty, "
            f"not {labels.shape}"
        )
    if labels.all() or not labels.any():
        rate = (labels.sum() + 1) / (labels.size + 2)
        return np.full(len(questions), rate)
    texts = [_masked(text) for text in (*train_questions, *questions)]
    trained, asked = texts[: labels.size], texts[labels.size :]
    features = make_union(FunctionTransformer(_shape), *_selected_ngrams(trained))
    trees = HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.07,
        max_leaf_nodes=15,
        l2_regularization=1.0,
        early_stopping=False,  # its validation rows would share questions with the others
        random_state=0,
    )
    trees.fit(_dense(features.fit_transform(trained, labels)), labels)
    if not asked:
        return np.empty(0)
    p: Floats = trees.predict_proba(_dense(features.transform(asked)))[:, 1]
    return p


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


def _masked(text: str) -> str:
    """Digits become 0: how long a number is tells more than which one it is."""
    return re.sub(r"\d", "0", text)


def _shape(texts: Sequence[str]) -> Floats:
    """Lengths and counts, shape (n, 9)."""
    return np.array([_shape_of(text) for text in texts], dtype=np.float64)


def _shape_of(text: str) -> tuple[float, ...]:
    words = re.findall(r"\w+", text)
    numbers = [len(word) for word in words if word.isdecimal()]
    lengths = [len(word) for word in words] or [0]
    return (
        len(text),
        len(words),
        max(lengths),
        sum(lengths) / len(lengths),
        len(numbers),
        sum(numbers),
        max(numbers, default=0),
        numbers[0] if numbers else 0,
        sum(letter.isupper() for letter in text),
    )


def _selected_ngrams(texts: Sequence[str]) -> list[object]:
    """Transformers to the n-grams of words and of letters that go most with the labels."""
    kinds = (
        CountVectorizer(
            binary=True,
            tokenizer=re.compile(r"\w+").findall,
            token_pattern=None,
            ngram_range=(1, 2),
            max_features=VOCABULARY,
        ),
        CountVectorizer(
            binary=True, analyzer="char_wb", ngram_range=(1, 3), max_features=VOCABULARY
        ),
    )
    steps: list[object] = []
    for ngrams in kinds:
        try:
            found = len(ngrams.fit(texts).vocabulary_)
        except ValueError:  # no text has any
            continue
        steps.append(make_pipeline(ngrams, SelectKBest(chi2, k=min(KEPT, found))))
    return steps


def _dense(features: object) -> Floats:
    return np.asarray(features.todense() if hasattr(features, "todense") else features)
