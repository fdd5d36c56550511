"""The question prior: gradient boosting on the question's text alone, without model or answer.

What it learns is which kinds of question are answered well: the floor under every estimator, and a
feature of hybrids that carry one. It is kept as plain JSON, the n-grams that it looks for, in
clear, and its trees; no object is ever unpickled.
"""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError, model_validator

from ct_guard.errors import ManifestError, UsageError
from ct_guard.files.untrusted_json import LEARNT_BYTES, JsonError, read_json
from ct_guard.query import clean
from ct_guard.records import Record

from .trees import Forest, Tree, boosted

__all__ = [
    "PRIOR_FILE",
    "QuestionPrior",
    "base_rate",
    "common_ngrams",
    "fit_question_prior",
    "load_question_prior",
    "masked",
    "ngram_counter",
]

Floats = NDArray[np.float64]

PRIOR_FILE = "prior.json"
"""What the file is called in an estimator's directory."""
VOCABULARY = 4000
"""Most frequent n-grams that are looked at, of words and of letters each."""
KEPT = 100
"""N-grams that the trees see: those that go most with being right or wrong."""
QUESTIONS = 3
"""Different questions that an n-gram must be in: what is in fewer tells nothing of a kind, and may
name a person."""
SHAPES = 9


class QuestionPrior(Record):
    """A fitted prior: logit = baseline + what each tree adds."""

    schema_version: Literal[1] = 1
    words: tuple[str, ...]
    letters: tuple[str, ...]
    """N-grams of words and of letters; each is a feature: whether the text has it."""
    baseline: float
    trees: tuple[Tree, ...]

    @model_validator(mode="after")
    def _knows_its_features(self) -> "QuestionPrior":
        for ngrams in (self.words, self.letters):
            if len(set(ngrams)) != len(ngrams):
                raise ValueError("an n-gram is named twice")
        known = SHAPES + len(self.words) + len(self.letters)
        if any(not 0 <= at < known for tree in self.trees for at in tree.feature):
            raise ValueError(f"a tree asks for a feature that is none of the {known}")
        return self

    def logits(self, questions: Sequence[str]) -> Floats:
        """logit P(correct) of each text, shape (n,)."""
        if not len(questions) or not self.trees:
            return np.full(len(questions), self.baseline)
        different = list(dict.fromkeys(questions))
        features = _features(list(map(masked, different)), self.words, self.letters)
        logits = self.baseline + self._forest.values(features)
        place = {text: at for at, text in enumerate(different)}
        return np.asarray(logits[[place[text] for text in questions]])

    @cached_property
    def _forest(self) -> Forest:
        return Forest.of(self.trees)


def fit_question_prior(questions: Sequence[str], correct: ArrayLike) -> QuestionPrior:
    """Fit on n texts (one with several graded answers stands there as often) and whether each
    answer was right, boolean of shape (n,). The base rate alone where the labels are all alike.

    Raises UsageError for no rows, or lengths that differ.
    """
    labels = np.asarray(correct, dtype=np.bool_)
    if labels.shape != (len(questions),) or not labels.size:
        raise UsageError(
            f"correct must have shape ({len(questions)},) and not be empty, not {labels.shape}"
        )
    if labels.all() or not labels.any():
        return QuestionPrior(words=(), letters=(), baseline=base_rate(labels), trees=())
    texts = list(map(masked, questions))
    different = list({text: at for at, text in enumerate(questions)}.values())
    words, letters = (_chosen(kind, texts, labels, different) for kind in ("words", "letters"))
    baseline, trees = boosted(
        _features(texts, words, letters),
        labels,
        missing=False,
        max_iter=100,
        learning_rate=0.07,
        max_leaf_nodes=15,
        l2_regularization=1.0,
        random_state=0,
    )
    return QuestionPrior(words=words, letters=letters, baseline=baseline, trees=trees)


def load_question_prior(path: Path) -> QuestionPrior:
    """Raises ManifestError, in one line, for a file that holds no prior."""
    try:
        return QuestionPrior.model_validate(read_json(path, LEARNT_BYTES))
    except (JsonError, ValidationError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ManifestError(f"{path} holds no question prior: {said}") from error


def _features(texts: Sequence[str], words: Sequence[str], letters: Sequence[str]) -> Floats:
    """Lengths and counts of masked texts, then whether each n-gram is there: shape
    (n, SHAPES + n-grams)."""
    shapes = np.array([_shape(text) for text in texts], np.float64).reshape(len(texts), SHAPES)
    found = [
        ngram_counter(kind, vocabulary=list(ngrams)).transform(texts).toarray().astype(np.float64)
        for kind, ngrams in (("words", words), ("letters", letters))
        if ngrams
    ]
    return np.hstack([shapes, *found])


def masked(text: str) -> str:
    """As the base model is shown it, without what is invisible or around it; digits become 0: how
    long a number is tells more than which one it is."""
    return re.sub(r"\d", "0", clean(text)[0].strip())


def _shape(text: str) -> tuple[float, ...]:
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


def ngram_counter(kind: str, **more: object) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer  # type: ignore[import-untyped]

    if kind == "letters":
        return CountVectorizer(binary=True, analyzer="char_wb", ngram_range=(1, 3), **more)
    split = re.compile(r"\w+").findall
    return CountVectorizer(
        binary=True, tokenizer=split, token_pattern=None, ngram_range=(1, 2), **more
    )


def common_ngrams(
    kind: str, texts: Sequence[str], different: Sequence[int]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The n-grams of masked texts that are in `QUESTIONS` different questions or more, at most
    `VOCABULARY`, and in how many each is; `different` has the place of each different question."""
    counter = ngram_counter(kind, max_features=VOCABULARY)
    try:
        found = counter.fit_transform(texts)
    except ValueError:  # no text has any
        return (), np.zeros(0, np.int64)
    having = np.ravel(found[different].sum(axis=0))
    common = having >= QUESTIONS
    return tuple(counter.get_feature_names_out()[common].tolist()), having[common]


def _chosen(
    kind: str, texts: Sequence[str], labels: NDArray[np.bool_], different: Sequence[int]
) -> tuple[str, ...]:
    """The common n-grams that go most with the labels."""
    from sklearn.feature_selection import SelectKBest, chi2  # type: ignore[import-untyped]

    names, _ = common_ngrams(kind, texts, different)
    if not names:
        return ()
    found = ngram_counter(kind, vocabulary=list(names)).transform(texts)
    best = SelectKBest(chi2, k=min(KEPT, len(names))).fit(found, labels)
    return tuple(np.array(names)[best.get_support()].tolist())


def base_rate(correct: NDArray[np.bool_]) -> float:
    """Its logit, kept finite as by one more right and one more wrong answer."""
    rate = (correct.sum() + 1) / (correct.size + 2)
    return float(np.log(rate / (1 - rate)))
