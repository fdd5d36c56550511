"""Outcomes, held against an estimator's certificates as they become known."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ct_guard.records import Certificate

from .alarm import Alarm
from .betting import limit
from .book import Page
from .selective import RiskTest

__all__ = ["Promises", "begin_test", "counted_until", "fresh_after", "is_watched", "voids_in"]


def is_watched(certificate: Certificate) -> bool:
    """Whether it promises anything that outcomes could contradict."""
    return certificate.threshold is not None and 0.0 < certificate.alpha < 1.0


def voids_in(page: Page) -> dict[str, Alarm]:
    """What made certificates void, by their `key`."""
    return {alarm.about: alarm for alarm in page.alarms() if alarm.kind == "risk"}


class Promises:
    """The certificates of the estimator `name`, each with a test of its error rate; `rate` is that
    of false alarms of them all together.

    A test counts the outcomes that arrive after it began. Once it has rejected it counts no more:
    what arrives later is fresh.
    """

    def __init__(self, name: str, certificates: Sequence[Certificate], *, rate: float) -> None:
        self.name = name
        self.certificates = tuple(filter(is_watched, certificates))
        self.rate = rate / max(len(self.certificates), 1)
        self.limit = limit(self.rate)

    def begin(self, page: Page) -> None:
        """Tests of certificates that the book does not know yet begin now."""
        for certificate in self.certificates:
            if page.state(_name(certificate)) is None:
                begin_test(page, certificate)

    def test(self, page: Page, certificate: Certificate) -> RiskTest:
        return _test(page, certificate.key) or begin_test(page, certificate)

    def hold(self, page: Page) -> list[Alarm]:
        """Count the outcomes that are not counted yet, and void what they contradict."""
        void = voids_in(page)
        found = [
            self._hold(page, one)
            for one in self.certificates
            if one.void is None and one.key not in void
        ]
        return [alarm for alarm in found if alarm is not None]

    def _hold(self, page: Page, certificate: Certificate) -> Alarm | None:
        threshold = certificate.threshold or 0.0
        test = self.test(page, certificate)
        rows = page.outcomes_after(test.last)
        above = [row for row in rows if row.p >= threshold]
        wealth, after = test.observe(_wrong(row.correct for row in above))
        over = np.flatnonzero(wealth >= self.limit)
        if over.size == 0:
            last = rows[-1].number if rows else test.last
            _save(page, certificate, after.model_copy(update={"last": last}))
            return None
        counted = above[: int(over[0]) + 1]
        _, after = test.observe(_wrong(row.correct for row in counted))
        _save(page, certificate, after.model_copy(update={"last": counted[-1].number}))
        doubt = "; not one outcome was of a right answer: are these recorded, too?"
        return page.raise_alarm(
            certificate.key,
            "risk",
            certificate.key,
            f"The certificate of {self.name} for alpha={certificate.alpha:g} is void:"
            f" {after.errors:,} of {after.bets.seen:,} answers with p >= {threshold:.4f} were"
            f" wrong, more than the promised {certificate.alpha:.1%} (a test with false alarms in"
            f" at most {self.rate:.2%} of streams)" + doubt * (after.errors == after.bets.seen),
        )


def begin_test(page: Page, certificate: Certificate) -> RiskTest:
    """The test of a new certificate, of the outcomes that arrive from now on."""
    test = RiskTest(alpha=certificate.alpha, last=page.last_outcome())
    _save(page, certificate, test)
    return test


def fresh_after(page: Page) -> int | None:
    """Number of the latest outcome that a test which rejected has counted: those after it are a
    sample as if nothing had been before. None: no test has rejected."""
    tests = [_test(page, key) for key in voids_in(page)]
    return max((test.last for test in tests if test is not None), default=None)


def counted_until(page: Page) -> int:
    """Number of the latest outcome that any test has looked at; 0 where none has."""
    tests = map(RiskTest.model_validate_json, page.states("risk "))
    return max((test.last for test in tests), default=0)


def _test(page: Page, key: str) -> RiskTest | None:
    state = page.state(f"risk {key}")
    return None if state is None else RiskTest.model_validate_json(state)


def _save(page: Page, certificate: Certificate, test: RiskTest) -> None:
    page.save_state(_name(certificate), test.model_dump_json())


def _name(certificate: Certificate) -> str:
    return f"risk {certificate.key}"


def _wrong(correct: Iterable[bool]) -> NDArray[np.bool_]:
    return ~np.fromiter(correct, dtype=np.bool_)
