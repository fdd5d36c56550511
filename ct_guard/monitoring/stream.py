"""Answers, held against the certification sample as they come, without labels."""

import hashlib
from collections.abc import Sequence
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.certificates import Arithmetic, Certificate, Sample
from ct_guard.records import Status
from ct_guard.risk import BIN_EDGES, bin_of

from .alarm import Alarm
from .betting import limit
from .book import Answered, Page
from .shift import RankTest

__all__ = ["TESTED", "Stream", "mean_of"]

TESTED: tuple[Status, ...] = tuple(status for status in get_args(Status) if status != "ok")
"""Statuses whose shares are tested; that of `ok` is what they leave."""
_MIDDLES = expit(np.linspace(-10.125, 10.125, BIN_EDGES.size + 1))
"""Of the bins, in P(correct)."""


class Stream:
    """What `name` was certified on, by the newest of its certificates that keeps a sample, and the
    rates of false alarms of the test of the scores and of those of the statuses together."""

    def __init__(
        self,
        name: str,
        certificates: Sequence[Certificate],
        *,
        scores_rate: float,
        statuses_rate: float,
    ) -> None:
        known = [one for one in certificates if one.sample is not None]
        newest = next(iter(known or certificates), None)
        self.name = name
        self.sample: Sample | None = newest.sample if newest else None
        self.arithmetic: Arithmetic | None = newest.arithmetic if newest else None
        kept = newest.model_dump_json(include={"sample", "arithmetic"}) if newest else ""
        self.scope = hashlib.sha256(kept.encode()).hexdigest()[:12]
        """Names the sample in the book."""
        self.limit = limit(scores_rate)
        self._scores_rate, self._status_rate = scores_rate, statuses_rate / len(TESTED)
        self._told: set[str] = set()

    def hold(
        self, page: Page, new: Sequence[Answered], arithmetic: Arithmetic | None
    ) -> list[Alarm]:
        """What n further answers give alarm of, and what their scores were computed in does."""
        found = [self._computed(page, arithmetic)]
        if self.sample is not None and new:
            found += self._models(page, self.sample, new)
            found.append(self._scores(page, self.sample, new))
            found += [self._status(page, self.sample, status, new) for status in TESTED]
        return [alarm for alarm in found if alarm is not None]

    def scores_test(self, page: Page) -> RankTest | None:
        """How the test of the scores stands; None without a sample."""
        return None if self.sample is None else self._test(page, "scores", self.sample.scores)

    def _computed(self, page: Page, arithmetic: Arithmetic | None) -> Alarm | None:
        if self.arithmetic is None or arithmetic is None or arithmetic.same_as(self.arithmetic):
            return None
        return page.raise_alarm(
            self.scope,
            "arithmetic",
            f"{arithmetic.backend} in {arithmetic.format}",
            f"{self.name} was certified on scores by {self.arithmetic}; these are by {arithmetic}",
        )

    def _models(self, page: Page, sample: Sample, new: Sequence[Answered]) -> list[Alarm | None]:
        """Where the sample names its answering models: another, or answers that name none."""
        if not sample.models:
            return []
        names = {answer.model or "" for answer in new if answer.p is not None}
        strange = sorted(names - sample.models.keys() - self._told)
        self._told.update(strange)
        certified = ", ".join(sorted(sample.models)[:3]) + ", …" * (len(sample.models) > 3)
        return [
            page.raise_alarm(
                self.scope,
                "model",
                name,
                f"{self.name} was certified on answers by {certified}; now there are answers"
                + (f" by {name}" if name else " that do not say by which model"),
            )
            for name in strange
        ]

    def _scores(self, page: Page, sample: Sample, new: Sequence[Answered]) -> Alarm | None:
        p = np.array([answer.p for answer in new if answer.p is not None], np.float64)
        test = self._test(page, "scores", sample.scores)
        wealth, after = test.observe(bin_of(p))
        page.save_state(f"scores {self.scope}", after.model_dump_json())
        if wealth.size == 0 or wealth.max() < self.limit:
            return None
        now = np.subtract(after.counts, sample.scores)
        return page.raise_alarm(
            self.scope,
            "scores",
            "",
            f"P(correct) is not distributed as in the certification sample of {self.name}: its mean"
            f" was {mean_of(sample.scores):.3f} over {sum(sample.scores):,} rows, and is"
            f" {mean_of(now):.3f} over {now.sum():,} answers (a test with false alarms in at most"
            f" {self._scores_rate:.2%} of streams)",
        )

    def _status(
        self, page: Page, sample: Sample, status: Status, new: Sequence[Answered]
    ) -> Alarm | None:
        rows, such = sum(sample.statuses.values()), sample.statuses.get(status, 0)
        if rows == 0:
            return None
        test = self._test(page, f"status {status}", (rows - such, such))
        happened = np.array([answer.status == status for answer in new], np.intp)
        wealth, after = test.observe(happened, shares=True)
        page.save_state(f"status {status} {self.scope}", after.model_dump_json())
        if wealth.max() < limit(self._status_rate):
            return None
        return page.raise_alarm(
            self.scope,
            "statuses",
            status,
            f"{after.counts[1] - such:,} of {after.bets.seen:,} answers have the status {status};"
            f" of the certification sample of {self.name}, {such:,} of {rows:,} rows had it (a test"
            f" with false alarms in at most {self._status_rate:.2%} of streams)",
        )

    def _test(self, page: Page, name: str, counts: Sequence[int]) -> RankTest:
        state = page.state(f"{name} {self.scope}")
        if state is not None:
            return RankTest.model_validate_json(state)
        salt = int.from_bytes(hashlib.sha256(f"{name} {self.scope}".encode()).digest()[:4], "big")
        return RankTest(counts=tuple(counts), salt=salt)


def mean_of(counts: ArrayLike) -> float:
    """The mean P(correct) of scores that were counted in bins, about."""
    return float(np.average(_MIDDLES, weights=np.asarray(counts)))
