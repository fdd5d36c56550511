"""Outcomes, held against an estimator's promises as they become known."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ct_guard.certificates import Certificate
from ct_guard.promises import Promise, Voidable

from .alarm import Alarm
from .betting import limit
from .book import Labelled, Page
from .claims import Claim, claims_of
from .selective import RiskTest, latest

__all__ = ["Promises", "begin_test", "counted_until", "fresh_after", "voids_in"]


def voids_in(page: Page) -> dict[str, Alarm]:
    """What made promises void, by their `key`."""
    return {alarm.about: alarm for alarm in page.alarms() if alarm.kind == "risk"}


class Promises:
    """What the estimator `name` promises, each claim with a test of its error rate; `rate` is that
    of false alarms of them all together.

    A test counts the outcomes that arrive after it began. Once it has rejected it counts no more:
    what arrives later is fresh.
    """

    def __init__(self, name: str, known: Sequence[Certificate | Promise], *, rate: float) -> None:
        self.name = name
        self.claims = claims_of(known)
        self.rate = rate / max(len(self.claims), 1)
        self.limit = limit(self.rate)

    @property
    def columns(self) -> tuple[str, ...]:
        """That claims are made by the values of."""
        named = (claim.within.column for claim in self.claims if claim.within is not None)
        return tuple(dict.fromkeys(named))

    def begin(self, page: Page) -> None:
        """Tests of claims that the book does not know yet begin now."""
        for claim in self.claims:
            if page.state(_name(claim.key)) is None:
                _begin(page, claim)

    def test(self, page: Page, claim: Claim) -> RiskTest:
        return _test(page, claim.key) or _begin(page, claim)

    def hold(self, page: Page) -> list[Alarm]:
        """Count the outcomes that are not counted yet, and void what they contradict."""
        void = voids_in(page)
        found = [
            self._hold(page, claim)
            for claim in self.claims
            if claim.promise.void is None and claim.key not in void
        ]
        return [alarm for alarm in found if alarm is not None]

    def _hold(self, page: Page, claim: Claim) -> Alarm | None:
        test = self.test(page, claim)
        rows = page.outcomes_after(test.last, within=claim.within)
        counted = [row for row in rows if claim.counts(row)]
        wealth, after = test.observe(_errors(claim, counted), goal=self.limit)
        over = np.flatnonzero(wealth >= self.limit)
        if over.size == 0:
            _save(page, claim.key, after.model_copy(update={"last": page.last_outcome()}))
            return None
        counted = counted[: int(over[0]) + 1]
        _, after = test.observe(_errors(claim, counted), goal=self.limit)
        after = after.model_copy(update={"last": counted[-1].number})
        _save(page, claim.key, after)
        return page.raise_alarm(claim.key, "risk", claim.key, self._text(page, claim, after))

    def _text(self, page: Page, claim: Claim, test: RiskTest) -> str:
        """Why a test has rejected: what it has counted, and what of that tells most."""
        rows = page.outcomes_after(0, within=claim.within)
        counted = [row for row in rows if row.number <= test.last and claim.counts(row)]
        wrong = _errors(claim, counted[-test.bets.seen :])
        wrong = wrong[-latest(wrong, claim.alpha) :]
        all_of_them = f"; of all {test.bets.seen:,}, {test.errors:,} were"
        doubt = "; not one outcome was of a right answer: are these recorded, too?"
        return (
            f"The {claim.kind} of {self.name} {claim.subject} is void: {wrong.sum():,} of the"
            f" latest {wrong.size:,} {claim.about} were {claim.error}, more than the {_rate(claim)}"
            f" (a test with false alarms in at most {self.rate:.2%} of streams)"
            + all_of_them * (wrong.size < test.bets.seen)
            + doubt * (test.errors == test.bets.seen)
        )


def begin_test(page: Page, promise: Voidable) -> RiskTest:
    """The test of a new promise, of the outcomes that arrive from now on."""
    return _begin(page, Claim(promise))


def fresh_after(page: Page) -> int | None:
    """Number of the latest outcome that a test which rejected has counted: those after it are a
    sample as if nothing had been before. None: no test has rejected."""
    tests = [_test(page, key) for key in voids_in(page)]
    return max((test.last for test in tests if test is not None), default=None)


def counted_until(page: Page) -> int:
    """Number of the latest outcome that any test has looked at; 0 where none has."""
    tests = map(RiskTest.model_validate_json, page.states("risk "))
    return max((test.last for test in tests), default=0)


def _begin(page: Page, claim: Claim) -> RiskTest:
    test = RiskTest(alpha=claim.alpha, last=page.last_outcome())
    _save(page, claim.key, test)
    return test


def _test(page: Page, key: str) -> RiskTest | None:
    state = page.state(_name(key))
    return None if state is None else RiskTest.model_validate_json(state)


def _save(page: Page, key: str, test: RiskTest) -> None:
    page.save_state(_name(key), test.model_dump_json())


def _name(key: str) -> str:
    return f"risk {key}"


def _errors(claim: Claim, rows: Iterable[Labelled]) -> NDArray[np.bool_]:
    return np.fromiter((claim.is_error(row) for row in rows), dtype=np.bool_)


def _rate(claim: Claim) -> str:
    promised = f"promised {claim.promise.alpha:.1%}"
    if claim.alpha == claim.promise.alpha:
        return promised
    return f"{claim.alpha:.1%} that a sample with the {promised} on average may stand for"
