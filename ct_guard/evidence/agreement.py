"""Agreement: do other answers to the question say the same?

Other answers are the rows that share the question and the column `samples`. How much they say the
same is in `pairs`; each is weighed by what graded rows say of the model that gave it: by the
log-odds of that model's accuracy, as a witness of this very model (`witnesses`), and beside all
others (`together`).
"""

import numpy as np
from numpy.typing import NDArray

from ct_guard.records import Record

from .answers import Answers
from .model import Accuracies, accuracies, codes, log_odds
from .pairs import NEARLY, SELF, Pairs, pairs_of
from .together import Together, learn_together, together_of
from .witnesses import Witnesses, learn_witnesses, votes_of

__all__ = ["AGREEMENT", "Agreement", "AgreementState"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALWAYS, FEW = 0.98, 20
"""Share of the rows with samples, of which there are more than a few, that hold the answer word for
word: from there on it is taken to be one of its own samples."""


class AgreementState(Record):
    """What graded rows say of models as witnesses."""

    accuracies: Accuracies
    itself: bool
    """Whether the samples of nearly all rows hold the answer itself, which then does not count."""
    alike: Witnesses
    named: Witnesses
    """By these two degrees of likeness."""
    together: Together


class Agreement:
    """Needs other answers: rows without any have no number."""

    name = "agreement"
    features = (
        "agreement", "agreement_weighted", "agreement_votes", "agreement_rival",
        "agreement_count", "agreement_headed", "agreement_named", "agreement_named_votes",
        "agreement_seconded", "agreement_lead", "agreement_spelled", "agreement_shared",
        "agreement_whole", "agreement_together",
    )  # fmt: skip

    def look(self, answers: Answers) -> Pairs:
        return pairs_of(answers)

    def learn(
        self, look: Pairs, correct: NDArray[np.bool_], rows: NDArray[np.bool_]
    ) -> AgreementState:
        itself = bool(look.itself.sum() >= ALWAYS * len(np.unique(look.row[look.sampled])) > FEW)
        look = look.apart() if itself else look
        likeness = look.likeness
        return AgreementState(
            accuracies=accuracies(*codes(look.own), correct, rows),
            itself=itself,
            alike=learn_witnesses(look, likeness.alike, correct, rows),
            named=learn_witnesses(look, likeness.named, correct, rows),
            together=learn_together(look, likeness.alike, correct, rows),
        )

    def read(self, look: Pairs, state: AgreementState) -> Floats:
        look = look.apart() if state.itself else look
        n, row, likeness = look.n, look.row, look.likeness
        trust = log_odds(state.accuracies, [name.removeprefix(SELF) for name in look.models])
        weight, one_each = np.clip(trust + 1.0, 0.1, None)[look.other], np.ones(len(row))
        others = np.bincount(row, minlength=n).astype(np.float64)
        weighted = _mean(row, likeness.alike, weight, n)
        rival = _rival(look, weight)
        seconded, lead = _among_rows(look, weighted, weight, rival)
        read = np.stack(
            [
                _mean(row, likeness.alike, one_each, n),
                weighted,
                np.bincount(row, votes_of(look, likeness.alike, state.alike), n),
                rival,
                np.log1p(others),
                _mean(row, likeness.headed, weight, n),
                _mean(row, likeness.named, weight, n),
                np.bincount(row, votes_of(look, likeness.named, state.named), n),
                seconded,
                lead,
                _mean(row, likeness.spelled, one_each, n),
                _mean(row, likeness.shared, one_each, n),
                _mean(row, likeness.whole, one_each, n),
                together_of(look, likeness.alike, state.together),
            ],
            axis=1,
        )
        read[others == 0] = np.nan
        read[:, self.features.index("agreement_count")] = np.log1p(others)
        return read


AGREEMENT = Agreement()


def _mean(row: Ints, values: Floats, weight: Floats, n: int) -> Floats:
    """Weighted, over the pairs of each row, shape (n,); NaN where it has none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.bincount(row, values * weight, n)
        return np.asarray(total / np.bincount(row, weight, n), np.float64)


def _among_rows(
    look: Pairs, weighted: Floats, weight: Floats, rival: Floats
) -> tuple[Floats, Floats]:
    """(how much others that agree are agreed with themselves, how far ahead of the most agreed with
    the answer is), shapes (n,), over other answers that are rows. Samples are compared with the
    answer only: where there is nothing else, those that agree with it are taken to be agreed with
    as it is, and those that do not as the strongest of them."""
    there = look.other_row >= 0
    row, theirs = look.row[there], weighted[look.other_row[there]]
    seconded = _mean(row, look.likeness.alike[there] * theirs, weight[there], look.n)
    most = np.full(look.n, -np.inf)
    np.maximum.at(most, row, theirs)
    known = np.isfinite(most)
    return (
        np.where(known, seconded, weighted**2),
        np.where(known, weighted - most, np.minimum(weighted - rival, 0.0)),
    )


def _rival(look: Pairs, weight: Floats) -> Floats:
    """Share, by weight, of the other answers that say what most of those unlike the answer say,
    shape (n,)."""
    total = np.bincount(look.row, weight, look.n)
    unlike = look.likeness.alike <= NEARLY
    row, key, weight = look.row[unlike], look.key[unlike], weight[unlike]
    strongest = np.zeros(look.n)
    if row.size:
        order = np.lexsort((key, row))
        row, key, weight = row[order], key[order], weight[order]
        first = np.r_[True, (row[1:] != row[:-1]) | (key[1:] != key[:-1])]
        together = np.add.reduceat(weight, np.flatnonzero(first))
        np.maximum.at(strongest, row[first], together)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(strongest / total, np.float64)
