"""What is asked: graded rows say which kinds of question are answered well.

A ridge logistic regression on which words and letters a text has, by how rare they are (TF-IDF,
Salton and Buckley 1988). Of a few hundred questions it tells more than the trees of the question
prior, which wait for a word that is common and decisive.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from ct_guard.records import Record

from .answers import Answers
from .question_prior import base_rate, common_ngrams, masked, ngram_counter

__all__ = ["QUESTION", "Question", "QuestionWords"]

Floats = NDArray[np.float64]

RIDGE = 0.1
"""The inverse of the penalty, as scikit-learn counts it."""
KINDS = ("words", "letters")


class Ngrams(Record):
    """N-grams of one kind, how rare each is among the questions, and what it adds to the logit."""

    ngrams: tuple[str, ...]
    rarity: tuple[float, ...]
    weights: tuple[float, ...]

    @model_validator(mode="after")
    def _knows_each(self) -> "Ngrams":
        if len(set(self.ngrams)) != len(self.ngrams):
            raise ValueError("an n-gram is named twice")
        if {len(self.rarity), len(self.weights)} != {len(self.ngrams)}:
            raise ValueError("every n-gram needs its rarity and its weight")
        return self


class QuestionWords(Record):
    """logit = baseline + what the n-grams add that a question has."""

    baseline: float
    words: Ngrams
    letters: Ngrams

    def logits(self, questions: Sequence[str]) -> Floats:
        """logit P(correct) of each text, shape (n,)."""
        different = list(dict.fromkeys(questions))
        texts = list(map(masked, different))
        logits = np.full(len(texts), self.baseline)
        for kind, known in zip(KINDS, (self.words, self.letters), strict=True):
            if texts and known.ngrams:
                seen = _weighted(kind, texts, known.ngrams, np.array(known.rarity))
                logits += seen @ np.array(known.weights)
        place = {text: at for at, text in enumerate(different)}
        return np.asarray(logits[[place[text] for text in questions]])


class Question:
    """One number, which every answer has: the logit of being right by the question's text alone."""

    name = "question"
    features = ("question",)

    def look(self, answers: Answers) -> Sequence[str]:
        return answers.asked

    def learn(
        self, look: Sequence[str], correct: NDArray[np.bool_], rows: NDArray[np.bool_]
    ) -> QuestionWords:
        return _fitted([look[at] for at in np.flatnonzero(rows).tolist()], correct[rows])

    def read(self, look: Sequence[str], state: QuestionWords) -> Floats:
        return state.logits(look)[:, None]


QUESTION = Question()


def _fitted(questions: Sequence[str], correct: NDArray[np.bool_]) -> QuestionWords:
    from scipy.sparse import hstack  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    texts = list(map(masked, questions))
    different = list({text: at for at, text in enumerate(questions)}.values())
    found, seen = [], []
    for kind in KINDS:
        ngrams, having = common_ngrams(kind, texts, different)
        rarity = np.log((1 + len(different)) / (1 + having)) + 1
        found.append((ngrams, rarity))
        seen.append(_weighted(kind, texts, ngrams, rarity))
    columns = hstack(seen).tocsr()
    if correct.all() or not correct.any() or not columns.shape[1]:
        baseline, weights = base_rate(correct), np.zeros(columns.shape[1])
    else:
        model = LogisticRegression(C=RIDGE, max_iter=1000).fit(columns, correct)
        baseline, weights = float(model.intercept_[0]), model.coef_[0]
    words, letters = (
        Ngrams(ngrams=ngrams, rarity=tuple(rarity.tolist()), weights=tuple(own.tolist()))
        for (ngrams, rarity), own in zip(found, np.split(weights, [len(found[0][0])]), strict=True)
    )
    return QuestionWords(baseline=baseline, words=words, letters=letters)


def _weighted(kind: str, texts: Sequence[str], ngrams: Sequence[str], rarity: Floats) -> Any:
    """A sparse matrix (n, n-grams) of what texts have, by rarity; each row of length 1."""
    from scipy.sparse import csr_matrix
    from sklearn.preprocessing import normalize  # type: ignore[import-untyped]

    if not ngrams:
        return csr_matrix((len(texts), 0))
    has = ngram_counter(kind, vocabulary=list(ngrams)).transform(texts).astype(np.float64)
    return normalize(has.multiply(rarity).tocsr())
