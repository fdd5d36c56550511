"""Every answer beside every other answer to its question, and how much they say the same."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from .answers import Answers, Sample, spelled
from .model import codes
from .said import Said, in_one_form, said, triples

__all__ = ["SELF", "Likeness", "Pairs", "pairs_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MOST_OTHERS = 64
"""Rows of one question that each answer to it is compared with, at most."""
SELF = "\x00self"
"""Stands for further answers by the model that gave the answer itself: those agree more readily."""
NEARLY = 0.998
"""Degree of likeness of answers that share all words that count and are not the same."""


@dataclass(frozen=True)
class Likeness:
    """How much of m pairs of answers is the same, each shape (m,), in [0, 1]; 1 where the graders'
    own readings are equal (letter, yes or no, number, normalised text)."""

    alike: Floats
    """Of the shorter answer's content words, the share that the other has, too."""
    headed: Floats
    """Of the content words that the answer begins with, the share that the other has: what follows
    is often told beside the point."""
    named: Floats
    """As `alike`, of names and numbers only where both answers have some: which kind of answer it
    is must not count as agreement."""
    spelled: Floats
    """As `alike`, of every three letters in a row of content words: other forms of a word, names
    that are spelled in two ways."""
    shared: Floats
    """The same of the letters of both answers: one that tells more is less like the other."""
    whole: Floats
    """As `alike`, of all words, those of the question, too: what an answer leaves out counts."""


@dataclass(frozen=True)
class Pairs:
    """Every answer beside every other answer to its question, m pairs."""

    n: int
    own: tuple[str, ...]
    """Who gave each answer, length n; "" for one that is not known."""
    models: tuple[str, ...]
    """Names of those that gave other answers; "" for one that is not known."""
    row: Ints
    """The answer, shape (m,)."""
    other: Ints
    """Number, in `models`, of the model that gave the other answer, shape (m,)."""
    other_row: Ints
    """The other answer where it is a row of its own, else -1, shape (m,)."""
    key: Ints
    """What the other answer says: a number that answers with equal keys share, shape (m,)."""
    itself: Bools
    """Whether the other is a sample with the answer's very text, the row's first such; (m,)."""
    likeness: Likeness

    @property
    def sampled(self) -> Bools:
        """Whether the other comes from the column `samples`, shape (m,)."""
        return self.other_row < 0

    def apart(self) -> "Pairs":
        """Without samples that are the answer itself: nobody agrees with themselves."""
        kept = ~self.itself
        likeness = Likeness(*(getattr(self.likeness, one.name)[kept] for one in fields(Likeness)))
        return replace(
            self,
            row=self.row[kept],
            other=self.other[kept],
            other_row=self.other_row[kept],
            key=self.key[kept],
            itself=self.itself[kept],
            likeness=likeness,
        )


def pairs_of(answers: Answers) -> Pairs:
    """Other answers are the rows that share the question, and the column `samples`."""
    n = len(answers)
    samples = answers.samples
    of_sample = np.repeat(np.arange(n), [len(some) for some in samples])
    flat = [sample for some in samples for sample in some]
    texts = _Texts()
    own_text = texts.add(answers.answer, answers.words, answers.asked, answers.question)
    sample_text = texts.add(
        [sample.text for sample in flat],
        [spelled(sample.text) for sample in flat],
        [answers.asked[int(at)] for at in of_sample],
        answers.question[of_sample],
    )
    left, right = _within(answers.question)
    row = np.concatenate([left, of_sample])
    other_text = np.concatenate([own_text[right], sample_text])
    other, models = _other_models(answers, flat, of_sample, row, right)
    itself = np.zeros(len(row), np.bool_)
    same = np.flatnonzero(own_text[of_sample] == sample_text)
    itself[len(left) + same[np.unique(of_sample[same], return_index=True)[1]]] = True
    return Pairs(
        n=n,
        own=tuple(name or "" for name in answers.model),
        models=models,
        row=row,
        other=other,
        other_row=np.concatenate([right, np.full(len(flat), -1)]),
        key=texts.key[other_text],
        itself=itself,
        likeness=texts.compare(own_text[row], other_text),
    )


def _other_models(
    answers: Answers, samples: Sequence[Sample], of_sample: Ints, row: Ints, right: Ints
) -> tuple[Ints, tuple[str, ...]]:
    """Who gave the other answer of each pair, as a number, shape (m,), and the names by number. A
    sample without a model is by the one that gave the row's answer."""
    given = [
        sample.model or answers.model[at] or ""
        for sample, at in zip(samples, of_sample.tolist(), strict=True)
    ]
    code, names = codes([*(name or "" for name in answers.model), *given])
    own = code[: len(answers)]
    other = np.concatenate([own[right], code[len(answers) :]])
    named = np.array([bool(name) for name in names], np.bool_)
    itself = (other == own[row]) & named[other]
    known, number = np.unique(other + len(names) * itself, return_inverse=True)
    return number, tuple(
        names[at] if at < len(names) else SELF + names[at - len(names)] for at in known.tolist()
    )


def _within(question: Ints) -> tuple[Ints, Ints]:
    """(row, other row) of every two rows of one question; each row has at most `MOST_OTHERS`."""
    order = np.argsort(question, kind="stable")
    ordered = question[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(question) else order
    sizes = np.diff(np.r_[starts, len(ordered)])
    many = np.minimum(np.repeat(sizes, sizes), MOST_OTHERS + 1)
    left = np.repeat(np.arange(len(ordered)), many)
    within = np.arange(left.size) - np.repeat(np.cumsum(many) - many, many)
    right = np.repeat(np.repeat(starts, sizes), many) + within
    apart = left != right
    return order[left[apart]], order[right[apart]]


class _Texts:
    """Texts as numbers: equal answers to one question are read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], int] = {}
        self._said: list[Said] = []
        self._keys: dict[str, int] = {}
        self._key: list[int] = []

    def add(
        self,
        texts: Sequence[str],
        spelled: Sequence[Sequence[str]],
        asked: Sequence[str],
        question: Ints,
    ) -> Ints:
        found = np.empty(len(texts), np.int64)
        rows = zip(texts, spelled, asked, question.tolist(), strict=True)
        for at, (text, words, ask, number) in enumerate(rows):
            place = self._known.setdefault((number, text), len(self._said))
            if place == len(self._said):
                one = said(text, ask, words)
                self._said.append(one)
                self._key.append(self._keys.setdefault(one.key, len(self._keys)))
            found[at] = place
        return found

    @property
    def key(self) -> Ints:
        return np.array(self._key, np.int64)

    def compare(self, left: Ints, right: Ints) -> Likeness:
        """Of each text in `left` with the one beside it in `right`, m of each."""
        key = self.key
        equal = key[left] == key[right] if left.size else np.zeros(0, np.bool_)
        found = np.repeat(equal.astype(np.float64)[:, None], len(fields(Likeness)), axis=1)
        worded = np.array([one.words is not None for one in self._said], np.bool_)
        both = worded[left] & worded[right] if left.size else equal
        places = np.flatnonzero(~equal & both)
        if places.size:
            beside = zip(left[places].tolist(), right[places].tolist(), strict=True)
            found[places] = [_likeness(self._said[one], self._said[two]) for one, two in beside]
        return Likeness(*found.T)


def _likeness(one: Said, two: Said) -> tuple[float, ...]:
    """In the order of `Likeness`; of different answers with words."""
    mine, others = one.words, two.words
    if not mine or not others:
        return (0.0,) * len(fields(Likeness))
    alike = named = min(_of_shorter(mine, others), NEARLY)
    if one.named and two.named:
        named = _of_shorter(one.named, two.named)
    letters, theirs = triples(mine), triples(others)
    return (
        alike,
        len(one.head & others) / len(one.head),
        named,
        _of_shorter(letters, theirs),
        len(letters & theirs) / len(letters | theirs),
        _of_shorter(in_one_form(one.spelled), in_one_form(two.spelled)),
    )


def _of_shorter(one: frozenset[str], two: frozenset[str]) -> float:
    """Of the members of the smaller set, neither empty, the share that both have."""
    return len(one & two) / min(len(one), len(two))
