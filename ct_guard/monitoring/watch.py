"""An estimator's certificates under watch: answers and outcomes in, alarms out."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ct_guard.certificates import Arithmetic
from ct_guard.errors import UsageError
from ct_guard.promises import Voidable
from ct_guard.store import Manifest

from .alarm import Alarm, Telling
from .book import Answered, Book, Page
from .claims import Claim
from .promises import Promises, voids_in
from .stream import Stream, mean_of
from .voiding import is_own, mark_void

__all__ = [
    "BOOK",
    "FALSE_ALARM",
    "Noted",
    "Outcome",
    "PromiseStanding",
    "Standing",
    "Watch",
    "book_of",
    "probabilities_of",
]

BOOK = "monitor.sqlite"
"""Name of the book in an estimator's directory."""
FALSE_ALARM = 0.05
RISK, SCORES, STATUSES = 0.75, 0.15, 0.1
"""What of the rate of false alarms is spent on which tests. (Outcomes are few, scores many: a
shift of the scores is found within hundreds of them at any of these rates.)"""


class Outcome(NamedTuple):
    """What came of an answer."""

    id: str
    correct: bool
    where: str
    """As messages name it."""


@dataclass(frozen=True)
class Noted:
    """What became of outcomes."""

    new: int = 0
    known: int = 0
    """The same as was known before."""
    unknown: int = 0
    """Of answers that were never noted; passed over where that is asked for."""


@dataclass(frozen=True)
class PromiseStanding:
    """How the test of a promise stands: of a certificate, of one group's, of a cascade, of answers
    that are given and wrong."""

    claim: Claim
    answered: int
    """Answers noted that it is about, as those with a P(correct) at or above the threshold."""
    labelled: int
    """Of these, how many have an outcome."""
    counted: int
    """Outcomes that the test has counted, of such answers."""
    errors: int
    """Of these, how many are errors."""
    evidence: float
    """In [0, 1] while it stands: log wealth over that at which the test rejects; below 0 where the
    bets lost."""
    void: str
    """Why it is void; empty where it stands."""


@dataclass(frozen=True)
class Standing:
    """How an estimator's watch stands."""

    name: str
    false_alarm: float
    """Of all tests together, over the whole stream."""
    scored: int | None
    """Answers whose scores the test has seen; None: no certificate keeps a sample."""
    p_then: float | None
    """Mean P(correct) of the certification sample."""
    p_now: float | None
    """Mean P(correct) of the stream."""
    evidence: float | None
    """Of another distribution of the scores, as for promises."""
    promises: tuple[PromiseStanding, ...]
    """Those that outcomes can contradict: certificates first."""
    alarms: tuple[Alarm, ...]
    """All that were raised about these promises and their sample, oldest first."""
    clock_went_back: float
    """Seconds by which the machine's clock went back at most; times of that while are the latest
    that was known. The tests go by the order of arrival, and by no clock."""


class Watch:
    """Holds each answer and each outcome against an estimator's certificates and other promises,
    with what is known in the `book`.

    While the stream is drawn like the certification sample, and no promise's error rate is above
    its alpha, the probability that any of its tests *ever* raises an alarm is at most
    `false_alarm`: three quarters of it are for the tests of the promises' error rates, 15% for
    that of the scores, 10% for those of the statuses. It is a rate over the whole stream, and so
    the book keeps the one that it was begun with; None: 0.05 in a new book.

    Raises UsageError for a rate outside (0, 1) or other than the book's, InputError for a book that
    is none.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        book: Path,
        *,
        false_alarm: float | None = None,
        telling: Telling | None = None,
    ) -> None:
        if false_alarm is not None and not 0.0 < false_alarm < 1.0:
            raise UsageError(f"`false_alarm` must be between 0 and 1, not {false_alarm}")
        self.folder, self.name = folder, manifest.name
        self.telling = telling or Telling()
        self.book = Book(book, probabilities_of(manifest))
        with self.book.page() as page:
            self.false_alarm = rate = _rate(page, false_alarm, str(book))
            self.stream = Stream(
                manifest.name,
                manifest.certificates,
                scores_rate=rate * SCORES,
                statuses_rate=rate * STATUSES,
            )
            self.promises = Promises(manifest.name, manifest.known, rate=rate * RISK)
            self.promises.begin(page)
            self._voids = voids_in(page)
        self._marked: set[str] = set()
        self._mark()

    @property
    def columns(self) -> tuple[str, ...]:
        """Whose values `Answered.groups` holds: promises are made by them."""
        return self.promises.columns

    def why_void(self, promise: Voidable) -> str:
        """Why a promise is void, as far as this watch knows; empty where it stands."""
        if promise.void is not None:
            return promise.void.reason
        known = self._voids.get(promise.key)
        return known.text if known is not None else ""

    def note(
        self, answers: Sequence[Answered], arithmetic: Arithmetic | None = None
    ) -> tuple[int, list[Alarm]]:
        """Hold answers against the sample, in order; `arithmetic` is what computed their scores.

        Returns:
            How many of them are new, and the alarms, which were told already.
        """
        computed = None
        if arithmetic is not None:
            computed = arithmetic.model_dump_json(include={"backend", "format"})
        with self.book.page() as page:
            news = page.note(answers, computed)
            new = [answer for answer, is_new in zip(answers, news, strict=True) if is_new]
            alarms = self.stream.hold(page, new, arithmetic)
        self.telling.tell(alarms)
        return len(new), alarms

    def add_outcomes(
        self, outcomes: Iterable[Outcome], *, skip_unknown: bool = False
    ) -> tuple[Noted, list[Alarm]]:
        """Hold outcomes against the promises, all or none of them.

        Returns:
            What became of them, and the alarms, which were told already; promises that are void now
            are marked so in the estimator's manifest.

        Raises:
            InputError: an id without a noted answer (unless `skip_unknown`), or an outcome that
                contradicts the known one. Nothing is kept then.
        """
        new = known = unknown = 0
        with self.book.page() as page:
            for id, correct, where in outcomes:
                if skip_unknown and not page.knows(id):
                    unknown += 1
                elif page.add_outcome(id, correct, where):
                    new += 1
                else:
                    known += 1
            alarms = self.promises.hold(page)
            self._voids = voids_in(page)
        self._mark()
        self.telling.tell(alarms)
        return Noted(new, known, unknown), alarms

    def _mark(self) -> None:
        if self._voids.keys() - self._marked:
            mark_void(self.folder, self._voids)
            self._marked = set(self._voids)

    def standing(self) -> Standing:
        """How everything stands."""
        sample = self.stream.sample
        with self.book.page() as page:
            test = self.stream.scores_test(page)
            now = np.subtract(test.counts, sample.scores) if test and sample else np.zeros(1)
            scopes = [self.stream.scope, *(one.key for one in self.promises.claims)]
            return Standing(
                name=self.name,
                false_alarm=self.false_alarm,
                scored=test.bets.seen if test else None,
                p_then=mean_of(sample.scores) if sample else None,
                p_now=mean_of(now) if now.any() else None,
                evidence=test.bets.log_wealth / self.stream.limit if test else None,
                promises=tuple(self._stands(page, one) for one in self.promises.claims),
                alarms=tuple(alarm for scope in scopes for alarm in page.alarms(scope)),
                clock_went_back=page.clock_went_back,
            )

    def _stands(self, page: Page, claim: Claim) -> PromiseStanding:
        test = self.promises.test(page, claim)
        noted = [
            page.noted_from(floor, model=model, within=claim.within)
            for model, floor in claim.floors.items()
        ]
        return PromiseStanding(
            claim=claim,
            answered=sum(answered for answered, _ in noted),
            labelled=sum(labelled for _, labelled in noted),
            counted=test.bets.seen,
            errors=test.errors,
            evidence=test.bets.log_wealth / self.promises.limit,
            void=self.why_void(claim.promise),
        )


def _rate(page: Page, given: float | None, book: str) -> float:
    kept = float(page.remember("false_alarm", repr(FALSE_ALARM if given is None else given)))
    if given is not None and kept != given:
        raise UsageError(
            f"{book}: was begun with `false_alarm` {kept:g}, which holds for its whole stream:"
            " leave it out, or name another file as `book`"
        )
    return kept


def book_of(folder: Path, book: str | Path | None) -> Path:
    """Where an estimator's book lies: `book`, or `monitor.sqlite` in its directory.

    Raises UsageError for an embedded estimator and one in a cache, which have no room for it.
    """
    if book is not None:
        return Path(book)
    if not is_own(folder):
        raise UsageError(f"{folder} is no directory of your own: name a file as `book`")
    return folder / BOOK


def probabilities_of(manifest: Manifest) -> str:
    """Identifies what an estimator's P(correct) follow from, in 12 hex digits."""
    known = manifest.model_dump(mode="json", include={"calibrators", "provider", "groups"})
    known["evidence"] = manifest.files.get(manifest.evidence or "")
    text = json.dumps([manifest.scorer, known], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
