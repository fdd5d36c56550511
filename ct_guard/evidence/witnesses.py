"""What graded rows say of models as witnesses: the log likelihood ratio of right to wrong answers
for each degree to which a model agrees with them (naive Bayes over the other answers)."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ct_guard.records import Record

from .model import codes
from .pairs import Pairs

__all__ = ["Witnesses", "learn_witnesses", "votes_of"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BINS = np.array([0.01, 0.34, 0.67, 0.999])
"""Bounds of the degrees of likeness for which ratios are counted."""
DEGREES = len(BINS) + 1
PRIOR, PRIOR_OF_TWO = 20.0, 40.0
"""Pairs of the pool that every model's counts are shrunk by; pairs of a model's as a witness of all
others that its counts as a witness of one other are shrunk by."""


Ratios = Annotated[tuple[float, ...], Field(min_length=DEGREES, max_length=DEGREES)]


class Witnesses(Record):
    """Log likelihood ratios for each degree of likeness."""

    pool: Ratios
    """Of all models together, which serves unknown ones."""
    models: dict[str, Ratios]
    """By the model that gave the other answer."""
    of: dict[str, dict[str, Ratios]]
    """By the model that gave the answer, then by the one that gave the other: two models of one
    family repeat each other's mistakes."""


def learn_witnesses(pairs: Pairs, likeness: Floats, correct: Bools, rows: Bools) -> Witnesses:
    """From the pairs whose answer is one of `rows`, boolean (n,); `likeness` has shape (m,)."""
    own, names = codes(pairs.own)
    used = rows[pairs.row]
    row, other = pairs.row[used], pairs.other[used]
    cell = np.digitize(likeness[used], BINS), correct[row].astype(np.int64)
    by_model = np.zeros((len(pairs.models), DEGREES, 2))
    np.add.at(by_model, (other, *cell), 1.0)
    pool = by_model.sum(0) + 0.5
    pool /= pool.sum(0)
    shares = _shrunk(by_model, pool, PRIOR)
    two, place = np.unique(own[row] * len(pairs.models) + other, return_inverse=True)
    by_two = np.zeros((len(two), DEGREES, 2))
    np.add.at(by_two, (place, *cell), 1.0)
    between = _shrunk(by_two, shares[two % len(pairs.models)] if two.size else pool, PRIOR_OF_TWO)
    of: dict[str, dict[str, tuple[float, ...]]] = {}
    for at, code in enumerate(two.tolist()):
        first, second = names[code // len(pairs.models)], pairs.models[code % len(pairs.models)]
        if first and second:
            of.setdefault(first, {})[second] = _ratios(between[at])
    return Witnesses(
        pool=_ratios(pool),
        models={
            name: _ratios(shares[at])
            for at, name in enumerate(pairs.models)
            if name and by_model[at].any()
        },
        of=of,
    )


def votes_of(pairs: Pairs, likeness: Floats, known: Witnesses) -> Floats:
    """The log likelihood ratio of each pair, shape (m,)."""
    own, names = codes(pairs.own)
    two, place = np.unique(own[pairs.row] * len(pairs.models) + pairs.other, return_inverse=True)
    table = np.zeros((len(two), DEGREES))
    for at, code in enumerate(two.tolist()):
        first, second = names[code // len(pairs.models)], pairs.models[code % len(pairs.models)]
        table[at] = known.of.get(first, {}).get(second) or known.models.get(second, known.pool)
    return np.asarray(table[place, np.digitize(likeness, BINS)], np.float64)


def _shrunk(counts: Floats, towards: Floats, rows: float) -> Floats:
    """Shares of the degrees among right and among wrong answers, shape (…, DEGREES, 2)."""
    shares = (counts + rows * towards) / (counts.sum(1, keepdims=True) + rows)
    return np.asarray(shares, np.float64)


def _ratios(shares: Floats) -> tuple[float, ...]:
    return tuple(np.round(np.log(shares[:, 1] / shares[:, 0]), 6).tolist())
