"""Agreement: do other answers to the question say the same?

Other answers are the rows that share the question and the column `samples`. Two answers are alike
to a degree in [0, 1]: 1 where the graders' own readings are equal (letter, yes or no, number,
normalised text), else the share of the shorter answer's content words that the other has, too.

Each other answer is weighed in two ways by what graded rows say of the model that gave it: by the
log-odds of that model's accuracy, and by the log likelihood ratio of being right when this very
model agrees to that degree (naive Bayes over the others).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ct_guard.records import Record

from .answers import Answers
from .model import Accuracies, accuracies, codes, log_odds
from .said import Said, said

__all__ = ["AGREEMENT", "Agreement", "AgreementState", "Pairs"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_OTHERS = 64
"""Rows of one question that each answer to it is compared with, at most."""
BINS = np.array([0.01, 0.34, 0.67, 0.999])
"""Bounds of the degrees of likeness for which likelihood ratios are counted."""
PRIOR = 20.0
"""Pairs of the pool that every model's counts are shrunk by."""
SELF = "\x00self"
"""Stands for further answers by the model that gave the answer itself: those agree more readily."""
ALWAYS, FEW = 0.98, 20
"""Share of the rows with samples, of which there are more than a few, that hold the answer word for
word: from there on it is taken to be one of its own samples."""


@dataclass(frozen=True)
class Pairs:
    """Every answer beside every other answer to its question, m pairs."""

    n: int
    row: Ints
    """The answer, shape (m,)."""
    other: Ints
    """Number, in `models`, of the model that gave the other answer, shape (m,)."""
    models: tuple[str, ...]
    """Names; "" for one that is not known."""
    key: Ints
    """What the other answer says: a number that answers with equal keys share, shape (m,)."""
    alike: Floats
    """Degree in [0, 1], shape (m,)."""
    covered: Floats
    """Share of the answer's own content words that the other has, shape (m,)."""
    sampled: NDArray[np.bool_]
    """Whether the other comes from the column `samples`, shape (m,)."""
    itself: NDArray[np.bool_]
    """Whether the other is a sample with the answer's very text, the row's first such; (m,)."""
    own: tuple[str | None, ...]
    """Who gave each answer, length n."""

    def apart(self) -> "Pairs":
        """Without samples that are the answer itself: nobody agrees with themselves."""
        kept = ~self.itself
        return replace(
            self,
            row=self.row[kept],
            other=self.other[kept],
            key=self.key[kept],
            alike=self.alike[kept],
            covered=self.covered[kept],
            sampled=self.sampled[kept],
            itself=self.itself[kept],
        )


class AgreementState(Record):
    """What graded rows say of models as witnesses."""

    accuracies: Accuracies
    itself: bool
    """Whether the samples of nearly all rows hold the answer itself, which then does not count."""
    ratios: dict[str, tuple[float, ...]]
    """By model, the log likelihood ratio of right to wrong for each degree of likeness; the pool's
    under "" serves models without one."""


class Agreement:
    """Needs other answers: rows without any have no number."""

    name = "agreement"
    features = (
        "agreement", "agreement_weighted", "agreement_votes", "agreement_rival",
        "agreement_covered", "agreement_count",
    )  # fmt: skip

    def look(self, answers: Answers) -> Pairs:
        return _pairs(answers)

    def learn(
        self, look: Pairs, correct: NDArray[np.bool_], rows: NDArray[np.bool_]
    ) -> AgreementState:
        itself = bool(look.itself.sum() >= ALWAYS * len(np.unique(look.row[look.sampled])) > FEW)
        look = look.apart() if itself else look
        own, names = codes([name or "" for name in look.own])
        known = accuracies(own, names, correct, rows)
        used = rows[look.row]
        degree = np.digitize(look.alike[used], BINS)
        right = correct[look.row[used]]
        size = len(BINS) + 1
        counts = np.zeros((len(look.models), size, 2))
        np.add.at(counts, (look.other[used], degree, right.astype(np.int64)), 1.0)
        pool = counts.sum(0) + 0.5
        share = pool / pool.sum(0)
        shrunk = (counts + PRIOR * share) / (counts.sum(1, keepdims=True) + PRIOR)
        table = np.log(shrunk[..., 1] / shrunk[..., 0])
        ratios = {
            name: tuple(np.round(table[at], 6).tolist())
            for at, name in enumerate(look.models)
            if counts[at].any() and name
        }
        ratios[""] = tuple(np.round(np.log(share[:, 1] / share[:, 0]), 6).tolist())
        return AgreementState(accuracies=known, itself=itself, ratios=ratios)

    def read(self, look: Pairs, state: AgreementState) -> Floats:
        look = look.apart() if state.itself else look
        n, row = look.n, look.row
        trust = log_odds(state.accuracies, [name.removeprefix(SELF) for name in look.models])
        weight = np.clip(trust + 1.0, 0.1, None)[look.other]
        pool = state.ratios[""]
        table = np.array([state.ratios.get(name, pool) for name in look.models])
        table = table.reshape(len(look.models), len(BINS) + 1)
        votes = table[look.other, np.digitize(look.alike, BINS)]
        others = np.bincount(row, minlength=n).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            total = np.bincount(row, weight, n)
            read = np.stack(
                [
                    np.bincount(row, look.alike, n) / others,
                    np.bincount(row, weight * look.alike, n) / total,
                    np.bincount(row, votes, n),
                    _rival(look, weight) / total,
                    np.bincount(row, look.covered, n) / others,
                    np.log1p(others),
                ],
                axis=1,
            )
        read[others == 0, :-1] = np.nan
        return read


AGREEMENT = Agreement()


def _rival(look: Pairs, weight: Floats) -> Floats:
    """Weight of the other answers that say what most of those unlike the answer say, shape (n,)."""
    unlike = look.alike < BINS[-1]
    row, key, weight = look.row[unlike], look.key[unlike], weight[unlike]
    strongest = np.zeros(look.n)
    if not row.size:
        return strongest
    order = np.lexsort((key, row))
    row, key, weight = row[order], key[order], weight[order]
    first = np.r_[True, (row[1:] != row[:-1]) | (key[1:] != key[:-1])]
    together = np.add.reduceat(weight, np.flatnonzero(first))
    np.maximum.at(strongest, row[first], together)
    return strongest


def _pairs(answers: Answers) -> Pairs:
    n = len(answers)
    samples = answers.samples
    of_sample = np.repeat(np.arange(n), [len(some) for some in samples])
    flat = [sample for some in samples for sample in some]
    texts = _Texts()
    own_text = texts.add(answers.answer, answers.asked, answers.question)
    sample_text = texts.add(
        [sample.text for sample in flat],
        [answers.asked[int(at)] for at in of_sample],
        answers.question[of_sample],
    )
    left, right = _within(answers.question)
    row = np.concatenate([left, of_sample])
    other_text = np.concatenate([own_text[right], sample_text])
    given = [answers.model[int(at)] for at in right] + [
        sample.model or answers.model[int(at)] for sample, at in zip(flat, of_sample, strict=True)
    ]
    names = [
        (SELF + name if name == answers.model[at] else name) if name else ""
        for name, at in zip(given, row, strict=True)
    ]
    other, models = codes(names)
    alike, covered = texts.compare(own_text[row], other_text)
    itself = np.zeros(len(row), np.bool_)
    same = np.flatnonzero(own_text[of_sample] == sample_text)
    itself[len(left) + same[np.unique(of_sample[same], return_index=True)[1]]] = True
    return Pairs(
        n=n,
        row=row,
        other=other,
        models=models,
        key=texts.key[other_text],
        alike=alike,
        covered=covered,
        sampled=np.arange(len(row)) >= len(left),
        itself=itself,
        own=tuple(answers.model),
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

    def add(self, texts: Sequence[str], asked: Sequence[str], question: Ints) -> Ints:
        found = np.empty(len(texts), np.int64)
        for at, (text, ask, number) in enumerate(zip(texts, asked, question.tolist(), strict=True)):
            place = self._known.setdefault((number, text), len(self._said))
            if place == len(self._said):
                one = said(text, ask)
                self._said.append(one)
                self._key.append(self._keys.setdefault(one.key, len(self._keys)))
            found[at] = place
        return found

    @property
    def key(self) -> Ints:
        return np.array(self._key, np.int64)

    def compare(self, left: Ints, right: Ints) -> tuple[Floats, Floats]:
        """(degree of likeness, share of left's words that right has), each shape (m,)."""
        key = self.key
        alike = (key[left] == key[right]).astype(np.float64) if left.size else np.zeros(0)
        covered = alike.copy()
        worded = np.array([one.words is not None for one in self._said], np.bool_)
        for at in np.flatnonzero((alike == 0) & _both(worded, left, right)).tolist():
            one, two = self._said[left[at]].words, self._said[right[at]].words
            if one and two:
                common = len(one & two)
                alike[at] = common / min(len(one), len(two))
                covered[at] = common / len(one)
        return np.minimum(alike, np.where(key[left] == key[right], 1.0, 0.998)), covered


def _both(worded: NDArray[np.bool_], left: Ints, right: Ints) -> NDArray[np.bool_]:
    return worded[left] & worded[right] if left.size else np.zeros(0, np.bool_)
